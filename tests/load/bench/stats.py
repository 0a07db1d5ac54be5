"""Medians, ratios of rounds, and how sure they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The middle of some rounds and their ends."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Median, least and greatest."""
        return Spread(median(values), min(values), max(values))

    def rounded(self, digits: int = 3) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, digits) for name, value in asdict(self).items()}


def paired(ours: Sequence[float], theirs: Sequence[float], combine) -> Spread | None:
    """`combine(a, b)` of the same rounds: the median, and the interval that holds it in 90 % of bootstrap samples."""
    values = [combine(a, b) for a, b in zip(ours, theirs) if b]
    if not values:
        return None
    draw = random.Random(1)  # the same rounds give the same interval
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(2000))
    return Spread(median(values), medians[100], medians[-101])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """How many times as much as theirs."""
    return paired(ours, theirs, lambda a, b: a / b)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """How much more than theirs."""
    return paired(ours, theirs, lambda a, b: a - b)
