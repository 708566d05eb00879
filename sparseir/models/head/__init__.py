"""The vocabulary head: hidden states to the largest logit of each term, without the logits of every token."""
