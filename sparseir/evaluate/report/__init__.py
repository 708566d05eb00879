"""What an evaluation leaves: rows and tables, means over collections, pictures, and what is kept on disk."""
