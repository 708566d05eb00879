"""Negatives found and pairs scored ahead of training, over prepared folders, so that the training loop only reads."""
