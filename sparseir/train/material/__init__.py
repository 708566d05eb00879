"""What encoders learn from: texts, pairs, negatives and the scores of teachers, in batches."""
