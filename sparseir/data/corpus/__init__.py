"""One reader for every form a corpus comes in: which files there are, their rows, and the documents in these."""
