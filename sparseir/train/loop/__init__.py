"""The training loop: steps, checkpoints, clocks, and the folder that a run writes to."""
