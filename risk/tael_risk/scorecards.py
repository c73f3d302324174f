"""Scorecards: points by bin, and the arithmetic of weight of evidence behind them (§6.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from tael_risk.features import FeatureValues, Value, format_value

EXACT = Context(prec=34, rounding=ROUND_HALF_UP)
ADVERSE_REASONS = 4
"""How many reasons accompany a score: the characteristics that lost most points."""


@dataclass(frozen=True)
class Scale:
    """What a score means: `base` points at `odds` good to one bad, `doubling` points double them."""

    base: Decimal
    odds: Decimal
    doubling: Decimal

    @property
    def factor(self) -> Decimal:
        """Points for each unit of log odds: doubling / ln 2."""
        return EXACT.divide(self.doubling, EXACT.ln(Decimal(2)))

    @property
    def offset(self) -> Decimal:
        """Points at even odds: base − factor · ln(odds)."""
        return EXACT.subtract(self.base, EXACT.multiply(self.factor, EXACT.ln(self.odds)))

    def score_at(self, odds: Decimal) -> int:
        """The score that odds of good to bad stand for, rounded half up."""
        return _rounded(EXACT.fma(self.factor, EXACT.ln(odds), self.offset))

    def points(
        self, woe: Decimal, coefficient: Decimal, intercept: Decimal, characteristics: int
    ) -> int:
        """A bin's points: (β·WoE + α/n)·factor + offset/n, of a logit of good odds; half up."""
        share = EXACT.divide(intercept, Decimal(characteristics))
        logit = EXACT.fma(coefficient, woe, share)
        return _rounded(
            EXACT.fma(logit, self.factor, EXACT.divide(self.offset, Decimal(characteristics)))
        )


@dataclass(frozen=True)
class Evidence:
    """What one bin says: weight of evidence and its part of the information value."""

    woe: Decimal
    information: Decimal


def weigh_evidence(bins: Sequence[tuple[int, int]]) -> tuple[Evidence, ...]:
    """Evidence of each (good, bad) bin: WoE = ln((good_i/good) / (bad_i/bad)).

    A bin without good or without bad cases is counted with half a case more of each (§6.4). Raises
    ValueError where there are no good or no bad cases at all.
    """
    goods, bads = Decimal(sum(good for good, _ in bins)), Decimal(sum(bad for _, bad in bins))
    if not goods or not bads:
        raise ValueError("weight of evidence needs both good and bad cases")
    return tuple(_evidence(good, bad, goods, bads) for good, bad in bins)


def _evidence(good: int, bad: int, goods: Decimal, bads: Decimal) -> Evidence:
    half = Decimal("0.5") if not good or not bad else Decimal(0)
    good_share, bad_share = EXACT.divide(good + half, goods), EXACT.divide(bad + half, bads)
    woe = EXACT.ln(EXACT.divide(good_share, bad_share))
    return Evidence(woe, EXACT.multiply(EXACT.subtract(good_share, bad_share), woe))


def _rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


@dataclass(frozen=True)
class Bin:
    """Values of one characteristic that get the same points."""

    label: str
    points: int
    start: int | Decimal | None = None
    """Numbers from here, itself included; None = from below."""
    end: int | Decimal | None = None
    """Numbers below this; None = without end."""
    values: frozenset[Value] | None = None
    """Texts and booleans: these values."""
    missing: bool = False
    """No value."""
    others: bool = False
    """Texts that no other bin names."""

    def takes(self, value: Value | None) -> bool:
        """Whether a value falls in it; a bin of others is asked last."""
        if value is None or self.missing:
            return value is None and self.missing
        if self.values is not None:
            return value in self.values
        if self.others or isinstance(value, str):
            return self.others
        return (self.start is None or value >= self.start) and (
            self.end is None or value < self.end
        )


@dataclass(frozen=True)
class Characteristic:
    """One feature of a scorecard."""

    feature: str
    reason_code: str
    """A001–A099: told when this characteristic lost points."""
    bins: tuple[Bin, ...]
    """Every value falls in one; a bin of others stands last."""

    @property
    def max_points(self) -> int:
        """The most it can give."""
        return max(each.points for each in self.bins)


@dataclass(frozen=True)
class Contribution:
    """What one characteristic gave."""

    feature: str
    value: str | None
    bin: str
    points: int
    max_points: int
    reason_code: str


@dataclass(frozen=True)
class Scoring:
    """A score with what it is made of."""

    score: int
    contributions: tuple[Contribution, ...]

    @property
    def adverse_reasons(self) -> tuple[str, ...]:
        """The codes of the characteristics that lost most points, most first, at most four."""
        lost = [each for each in self.contributions if each.points < each.max_points]
        worst = sorted(lost, key=lambda each: each.points - each.max_points)
        return tuple(each.reason_code for each in worst[:ADVERSE_REASONS])


@dataclass(frozen=True)
class Scorecard:
    """Points by characteristic; the score is their sum."""

    scale: Scale
    characteristics: tuple[Characteristic, ...]

    def score(self, values: FeatureValues) -> Scoring:
        """The score of a set of features."""
        contributions = tuple(_contribution(each, values) for each in self.characteristics)
        return Scoring(sum(each.points for each in contributions), contributions)


def _contribution(characteristic: Characteristic, values: FeatureValues) -> Contribution:
    value = values.get(characteristic.feature)
    fallen = next(each for each in characteristic.bins if each.takes(value))
    return Contribution(
        feature=characteristic.feature,
        value=format_value(value),
        bin=fallen.label,
        points=fallen.points,
        max_points=characteristic.max_points,
        reason_code=characteristic.reason_code,
    )
