"""From rows of documents to the posting lists of one segment: pruning, ordering, inversion, the tables beside them."""
