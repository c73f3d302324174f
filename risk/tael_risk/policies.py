"""Policies: rules, scorecard, grades, limit and price as one published document."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from tael_risk.conditions import Condition
from tael_risk.documents import canonical
from tael_risk.features import Source
from tael_risk.limits import GradeLimit, LimitRules
from tael_risk.prices import GradePrice, PriceRules
from tael_risk.reasons import CustomerReason
from tael_risk.scorecards import Scorecard


class Stage(StrEnum):
    """When in a loan's life a decision is made."""

    APPLICATION = "APPLICATION"
    DRAWDOWN = "DRAWDOWN"


class Step(StrEnum):
    """The steps of a decision, in their order (§6.1)."""

    ADMISSION = "ADMISSION"
    ANTI_FRAUD = "ANTI_FRAUD"
    INTERNAL = "INTERNAL"
    EXTERNAL = "EXTERNAL"
    SCORE = "SCORE"
    LIMIT = "LIMIT"
    PRICE = "PRICE"


STEP_ORDER = tuple(Step)
OUTSIDE_SOURCES = frozenset({Source.EXTERNAL, Source.BUREAU})

SCORE_FEATURE = "decision.now.score"
GRADE_FEATURE = "decision.now.grade"
LIMIT_FEATURE = "decision.now.limit"
RATE_FEATURE = "decision.now.rate"
MADE_BY = {
    SCORE_FEATURE: Step.SCORE,
    GRADE_FEATURE: Step.SCORE,
    LIMIT_FEATURE: Step.LIMIT,
    RATE_FEATURE: Step.PRICE,
}
"""The step that works a decision's own feature out."""


class Result(StrEnum):
    """Result of a rule or a step."""

    PASS = "PASS"  # noqa: S105  a result, not a password
    REVIEW = "REVIEW"
    REJECT = "REJECT"


class FailMode(StrEnum):
    """What an outside source that does not answer means."""

    FAIL_CLOSED = "FAIL_CLOSED"
    """The refusal's result and code are given."""
    DEFAULT = "DEFAULT"
    """Its features keep their defaults and the decision goes on."""
    RETRY = "RETRY"
    """Nothing is decided; the caller tries again later."""


@dataclass(frozen=True)
class Refusal:
    """A result that is not PASS, with its reason."""

    code: str
    description: str
    result: Result
    customer_reason: CustomerReason


@dataclass(frozen=True)
class Rule:
    """One row of the decision tables."""

    code: str
    description: str
    step: Step
    stages: frozenset[Stage]
    when: Condition
    result: Result
    """Where the condition holds."""
    if_unknown: Result
    """Where a missing feature leaves it unknown."""
    customer_reason: CustomerReason


@dataclass(frozen=True)
class SourceRules:
    """An outside source: how it stands in the order, and what its silence means."""

    source: Source
    fail_mode: FailMode
    refusal: Refusal | None
    """FAIL_CLOSED's."""


@dataclass(frozen=True)
class Grade:
    """One grade of the table in §6.5."""

    name: str
    score_from: int | None
    """Scores from here up to the grade above; None = everything below."""
    limit: GradeLimit
    price: GradePrice | None
    """None: not priced, not lent to."""


@dataclass(frozen=True)
class Policy:
    """A policy as data. Who publishes it gives it its version."""

    name: str
    stages: Mapping[Stage, tuple[Step, ...]]
    rules: tuple[Rule, ...]
    sources: tuple[SourceRules, ...]
    """Cheap to dear: the dear one is asked only where the cheap one did not reject."""
    scorecard: Scorecard
    grades: tuple[Grade, ...]
    """Best first."""
    limit: LimitRules
    limit_refusal: Refusal
    price: PriceRules
    price_refusal: Refusal
    hash: str
    """SHA-256 of the document's canonical form, hex."""

    def grade_of(self, score: int) -> Grade:
        """The grade a score falls in."""
        return next(
            grade for grade in self.grades if grade.score_from is None or score >= grade.score_from
        )


def document_hash(document: str) -> str:
    """SHA-256 of a JSON document's canonical form, hex: blanks and key order do not matter."""
    return hashlib.sha256(canonical(json.loads(document)).encode()).hexdigest()


@cache
def shipped_policy() -> str:
    """The policy document that ships with the package."""
    return (files("tael_risk") / "data" / "default_policy.json").read_text("utf-8")
