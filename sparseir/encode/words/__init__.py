"""Words on their way into an index: counted, given by neighbours or a dense model, joined to learned terms."""
