"""What is evaluated: encoders and BM25 over an index of ours, dense vectors, run files, fusions; and what each costs."""
