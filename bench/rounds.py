"""Subjects and baselines in rounds that alternate, so that both see the same noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median


def alternate(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Each side's results, round by round: A, B, A, B, …."""
    results: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, results, strict=True):
            found.append(side())
    return results


def ratio(subject: Sequence[float], baseline: Sequence[float]) -> float:
    """Median over the rounds of subject to baseline in the same round."""
    return median(own / other for own, other in zip(subject, baseline, strict=True))
