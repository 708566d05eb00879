"""Corpora, queries, judgements, training pairs and negatives: streaming readers whose errors name file and line."""
