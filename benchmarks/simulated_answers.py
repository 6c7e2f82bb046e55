"""Answers of made-up policies, for the simulations of gates: pass rates, and completions by them.

The incumbent solves a problem with p ~ Beta(0.6, 0.5); a candidate's logit is the incumbent's plus
a shift plus noise of standard deviation 0.5, so that it is better at some problems and worse at
others. The shift makes its gain what is wanted in expectation over all problems, not on the dev set
drawn: a gate promises something about problems to come, and a dev set that happens to suit a
candidate is one of the ways in which it is fooled. (To hold the gain exact on each dev set would
flatter the gate: the t-test counts that variation as noise, and none of it would happen.)
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betaincinv, expit, logit

Floats = npt.NDArray[np.float64]

Beta = tuple[float, float]
BETA: Beta = (0.6, 0.5)
EASY: Beta = (2.0, 0.1)
"""Of a benchmark that is nearly solved: 95 %, where losses are rare and large."""
NOISE = 0.5
_POPULATION = 20_000


class SimulatedSide:
    """One policy's completions of each problem: `p` solves them, and they are drawn as needed."""

    def __init__(self, p: Floats, rng: np.random.Generator) -> None:
        self.p = p
        self._rng = rng
        self._correct = np.zeros(len(p), dtype=np.int64)
        self._drawn = 0
        self._means: dict[int, Floats] = {}

    def means(self, k: int) -> Floats:
        """Each problem's mean over the first `k` completions; ask for growing `k`."""
        if k not in self._means:
            self._correct = self._correct + self._rng.binomial(k - self._drawn, self.p)
            self._drawn = k
            self._means[k] = self._correct / k
        return self._means[k]


def dev_set(n: int, rng: np.random.Generator, beta: Beta = BETA) -> Floats:
    """The base model's pass rates on `n` problems."""
    return np.clip(rng.beta(*beta, size=n), 1e-9, 1 - 1e-9)


def candidate_of(p: Floats, shift: float, rng: np.random.Generator) -> Floats:
    """A candidate's pass rates on an incumbent's problems."""
    moved: Floats = expit(logit(p) + shift + NOISE * rng.standard_normal(len(p)))
    return np.clip(moved, 1e-9, 1 - 1e-9)


@cache
def shifts(gains: tuple[float, ...], beta: Beta = BETA) -> tuple[float, ...]:
    """The shift of each of several candidates in a row, each better than the last by its gain."""
    rng = np.random.default_rng(0)
    p = betaincinv(*beta, (np.arange(_POPULATION) + 0.5) / _POPULATION)
    found = []
    for gain in gains:
        noise = NOISE * rng.permutation(_normal_quantiles())

        def missing(
            shift: float, p: Floats = p, noise: Floats = noise, gain: float = gain
        ) -> float:
            return float((expit(logit(p) + shift + noise) - p).mean()) - gain

        found.append(float(brentq(missing, -3, 5)))
        p = expit(logit(p) + found[-1] + noise)
    return tuple(found)


def _normal_quantiles() -> Floats:
    from scipy.special import ndtri

    quantiles: Floats = ndtri((np.arange(_POPULATION) + 0.5) / _POPULATION)
    return quantiles
