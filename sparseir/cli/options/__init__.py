"""What several commands ask for and open in the same way."""
