"""How strong a regulariser is at which optimiser step."""

from __future__ import annotations

import math

REACH = 7.0
"""Most that a controller moves log λ from its start: a factor of 1,100."""


def quadratic_ramp(step: int, ramp_steps: int) -> float:
    """min(1, step / ramp_steps)²: the share of λ at an optimiser step, counted from 1.

    Counted in optimiser steps, not forward passes: under gradient accumulation the two differ. ramp_steps = 0: 1.

    Source: Formal et al. 2021 (arXiv:2107.05720), section 4.1.
    """
    if ramp_steps <= 0:
        return 1.0
    return min(1.0, max(0, step) / ramp_steps) ** 2


class TargetSparsity:
    """Finds the λ that gives a wanted number of active dims: controls log λ by the distance to a band that narrows.

        log ceiling(p) = log target + max(0, log(first / target)) · (1 + cos(π · min(1, p / approach))) / 2
        ahead = level + lead · trend
        error = ahead − min(max(ahead, log target), log ceiling(p + lead · Δp))
        log λ = log start + gain · error + Σ reset · Δp · error

    level and trend are those of log active dims after Holt's double exponential smoothing, p is the share of the run that
    is over, in which the learning rate falls to 0, and Δp the share a step takes. Why so:

    - Terms that are switched off get little gradient or none, so vectors that fall below the target do not recover.
      Therefore a ceiling falls from what the first batch had to the target, slowly at both ends, and λ decreases when
      the vectors are about to pass the target. Between ceiling and target λ is kept: there is nothing to correct.
    - How fast λ takes effect depends on the learning rate. So the ceiling reaches the target at `approach`, while the
      learning rate is still large enough for vectors to settle.
    - Vectors respond to λ about `lead` steps late, because of the optimiser's momentum and the averages. Without
      looking ahead λ would still rise while they already fall.
    - As the ranking loss falls, it keeps fewer terms against the same λ. The sum corrects that until the end.
    - λ and the sum stay within `REACH` of the start, so that the sum does not grow without an effect.

    The gains come from a simulation with such a delay, noise and shocks; `of_gain` has those for other networks. Runs of 200 steps of 16 documents end 3 to 16% below
    the target by λ alone (docs/results.md); `regulariser.fit_bias` does the rest.

    Parameters
    ----------
    target : wanted mean number of active dims, > 0.
    start : first λ, > 0.
    gain : step in log λ at an error of e.
    reset : the same of an error that lasts for a whole run.
    lead : optimiser steps looked ahead.
    approach : share of the run after which the ceiling is the target.

    Source: Holt 1957 for the smoothing; Åström and Hägglund 2006 for the terms of control.
    """

    LEVEL, TREND = 0.2, 0.1
    """Share of the newest in level and in trend."""

    SPARE = 0.1
    """How far above the target the ceiling ends, as a share of it."""

    def __init__(
        self,
        target: float,
        *,
        start: float = 1e-3,
        gain: float = 2.5,
        reset: float = 25.0,
        lead: float = 10.0,
        approach: float = 0.5,
    ) -> None:
        if target <= 0 or start <= 0:
            raise ValueError(f"target sparsity needs a target and a start above 0, not {target} and {start}")
        self.target = target
        self.start = start
        self.gain = gain
        self.reset = reset
        self.lead = lead
        self.approach = approach
        self.lambda_value = start
        self._level: float | None = None
        self._trend = self._sum = self._progress = 0.0
        self._first = target
        self._ratio = 1.0

    @classmethod
    def of_gain(cls, strength: float, target: float, *, start: float) -> TargetSparsity:
        """One whose `gain` and `reset` are the usual ones times `strength`, and whose `lead` is the usual one times its root.

        A network that answers sooner needs smaller gains, or λ and terms swing against each other, and less looking ahead.
        """
        usual = cls(target, start=start)
        return cls(
            target,
            start=start,
            gain=usual.gain * strength,
            reset=usual.reset * strength,
            lead=usual.lead * math.sqrt(strength),
        )

    def ceiling(self, progress: float) -> float:
        """Most active dims the vectors should have at a share of the run; the target is the least."""
        left = (1 + math.cos(math.pi * min(1.0, progress / self.approach))) / 2
        end = self.target * (1 + self.SPARE)
        return float(end * max(1.0, self._first / end) ** left)

    def update(self, active_dims: float, progress: float) -> float:
        """The λ of the next step, after one whose texts had `active_dims` terms on average."""
        seen, passed = math.log(max(active_dims, 1e-3)), max(0.0, progress - self._progress)
        self._progress = progress
        if self._level is None:
            self._level, self._first = seen, active_dims
        before = self._level
        self._level = self.LEVEL * seen + (1 - self.LEVEL) * (before + self._trend)
        self._trend = self.TREND * (self._level - before) + (1 - self.TREND) * self._trend
        ahead = math.log(self._ratio) + self._level + self.lead * self._trend
        highest = math.log(self.ceiling(progress + self.lead * passed))
        error = ahead - min(highest, max(math.log(self.target), ahead))
        self._sum = max(-REACH, min(REACH, self._sum + self.reset * passed * error))
        self.lambda_value = self.start * math.exp(max(-REACH, min(REACH, self.gain * error + self._sum)))
        return self.lambda_value

    def calibrate(self, served: float) -> None:
        """Correct for what batches and encoded texts differ by: a sample has `served` active dims now.

        Batches differ: they are cut shorter, hold other documents and run with dropout. Half of the correction is taken at
        a time, since both numbers are noisy.
        """
        if self._level is not None:
            self._ratio = math.sqrt(self._ratio * max(served, 1e-3) / math.exp(self._level))

    def state_dict(self) -> dict[str, float | None]:
        """What a checkpoint keeps."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Continue from a checkpoint."""
        for name in _STATE:
            setattr(self, name, state[name])


_STATE = ("lambda_value", "_level", "_trend", "_sum", "_progress", "_first", "_ratio")
