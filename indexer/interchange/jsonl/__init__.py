"""Anserini's JSON vectors, and JSON as a stream of objects."""
