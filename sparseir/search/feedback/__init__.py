"""Second searches with words of the first hits: pseudo-relevance feedback without a model."""
