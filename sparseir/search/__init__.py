"""Searching an index from text or vectors, without torch."""
