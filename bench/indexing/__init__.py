"""Benchmarks of indexes: building, adding, size, memory."""
