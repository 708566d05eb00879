"""Encoding whole collections: batched by length, sharded, resumable."""
