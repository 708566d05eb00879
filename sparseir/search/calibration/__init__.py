"""What approximate search is tuned by: queries real or made, and what was measured with them."""
