"""Trained models as wheels: found by name wherever they are installed."""
