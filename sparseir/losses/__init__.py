"""Ranking losses and regularisers: pure functions on tensors that know no model."""
