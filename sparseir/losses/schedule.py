"""How strong a regulariser is at which optimiser step."""

from __future__ import annotations

import math


def quadratic_ramp(step: int, ramp_steps: int) -> float:
    """min(1, step / ramp_steps)²: the share of λ at an optimiser step, counted from 1.

    Counted in optimiser steps, not forward passes: under gradient accumulation the two differ. ramp_steps = 0: 1.

    Source: Formal et al. 2021 (arXiv:2107.05720), section 4.1.
    """
    if ramp_steps <= 0:
        return 1.0
    return min(1.0, max(0, step) / ramp_steps) ** 2


class TargetSparsity:
    """Finds the λ that gives a wanted number of active dims, by integral control in the logarithm of λ.

        log λ ← log λ + gain · clip(log(average / target) + lead · log(average / average before), −1, 1)

    Vectors that are too dense raise λ, too sparse ones lower it. The average is exponential, since one batch is noisy.
    The second term looks `lead` steps ahead: vectors answer λ tens of steps late, and without it λ goes on rising while
    they already fall past the target, to where relu lets few terms come back.

    Parameters
    ----------
    target : wanted mean number of active dims, > 0.
    start : first λ, > 0.
    gain : step in log λ at an error of e.
    lead : optimiser steps over which the present trend is carried forward.
    smoothing : share of the old average kept at each update.
    """

    def __init__(
        self, target: float, *, start: float = 1e-3, gain: float = 0.05, lead: float = 30.0, smoothing: float = 0.9
    ) -> None:
        if target <= 0 or start <= 0:
            raise ValueError(f"target sparsity needs a target and a start above 0, not {target} and {start}")
        self.target = target
        self.gain = gain
        self.lead = lead
        self.smoothing = smoothing
        self.lambda_value = start
        self.average: float | None = None

    def update(self, active_dims: float) -> float:
        """The λ of the next step, after a batch with so many active dims a text on average."""
        before = active_dims if self.average is None else self.average
        self.average = self.smoothing * before + (1 - self.smoothing) * active_dims
        error = math.log(max(self.average, 1e-3) / self.target)
        error += self.lead * math.log(max(self.average, 1e-3) / max(before, 1e-3))
        self.lambda_value *= math.exp(self.gain * max(-1.0, min(1.0, error)))
        return self.lambda_value

    def state_dict(self) -> dict[str, float | None]:
        """What a checkpoint keeps."""
        return {"lambda_value": self.lambda_value, "average": self.average}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on from a checkpoint."""
        self.lambda_value = float(state["lambda_value"] or self.lambda_value)
        self.average = state["average"]
