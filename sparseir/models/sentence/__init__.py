"""The folders and calls of sentence-transformers' SparseEncoder."""
