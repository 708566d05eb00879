"""Snapshots: a commit of an index as a folder or as one file, and an index made of one again."""
