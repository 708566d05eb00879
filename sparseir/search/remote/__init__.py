"""Shards on other machines, asked over HTTP and searched as one index."""
