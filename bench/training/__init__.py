"""Benchmarks of encoders: encoding, training steps, whole runs, training data of any size."""
