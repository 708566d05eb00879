"""Benchmarks of searches: engines beside each other, their answers held equal, filters, shards, requests."""
