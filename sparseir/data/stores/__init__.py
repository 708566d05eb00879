"""Texts and pairs of any size on disk, which any number of processes open at once."""
