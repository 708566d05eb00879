"""Benchmarks, each a program of its own: `python -m bench.NAME`, from the top of a checkout."""
