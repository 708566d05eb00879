"""Collections of other engines, built, changed and searched as an index is."""
