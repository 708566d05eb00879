"""Which documents may be hits: the language of filters, what they allow, and small indexes of that."""
