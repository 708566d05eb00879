"""Training: the Trainer, distillation, hard negatives, checkpoints."""
