"""Decisions: a compiled policy walked step by step over features.

Outside data is dear and needs consent, so the walk can be interrupted: `Progress.next_phase` says
what the next phase reads and which source it wants; `advance` takes the features known by then. The
first REJECT ends the walk. The same policy version and inputs always give the same outcome.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from tael_risk.compiled_policies import (
    BUREAU_DUE,
    COLLATERAL,
    COST_CAP,
    DECLARED_DUE,
    EXPOSURE,
    INCOME,
    PERIODS,
    PRODUCT_MAX,
    PRODUCT_MIN,
    SEGMENT,
    CompiledPolicy,
    Phase,
)
from tael_risk.conditions import Truth, features_read
from tael_risk.documents import canonical
from tael_risk.features import FeatureValues, Source, Value, format_value
from tael_risk.limits import Limit, LimitInputs, compute_limit
from tael_risk.policies import (
    GRADE_FEATURE,
    LIMIT_FEATURE,
    RATE_FEATURE,
    SCORE_FEATURE,
    FailMode,
    Grade,
    Refusal,
    Result,
    Rule,
    Stage,
    Step,
)
from tael_risk.prices import rate_under_cap
from tael_risk.reasons import CustomerReason
from tael_risk.scorecards import Contribution, Scoring

SEVERITY = tuple(Result)
"""From PASS to REJECT."""


class Outcome(StrEnum):
    """Outcome of a decision."""

    APPROVED = "APPROVED"
    REVIEW = "REVIEW"
    DECLINED = "DECLINED"


@dataclass(frozen=True)
class FiredRule:
    """A rule that fired, and what it read."""

    code: str
    description: str
    result: Result
    customer_reason: CustomerReason
    inputs: Mapping[str, str | None]


@dataclass(frozen=True)
class StepOutcome:
    """One step of a decision, as it is kept."""

    step: Step
    result: Result
    version: str
    reason_codes: tuple[str, ...]
    """Of the rules that fired, in the policy's order; after a score's, its adverse reasons."""
    fired: tuple[FiredRule, ...]
    inputs: Mapping[str, str | None]
    """Every feature the step read, as text; None = missing."""

    @property
    def inputs_hash(self) -> str:
        """SHA-256 of the inputs' canonical form, hex."""
        return hashlib.sha256(canonical(dict(self.inputs)).encode()).hexdigest()


@dataclass(frozen=True)
class Decision:
    """The whole answer of a policy."""

    stage: Stage
    outcome: Outcome
    steps: tuple[StepOutcome, ...]
    policy_version: str
    score: int | None
    grade: str | None
    limit: int | None
    """Minor units; None where declined or not worked out."""
    annual_rate: str | None
    """Decimal text, 0.12 = 12 %; None where declined or not worked out."""
    contributions: tuple[Contribution, ...]
    limit_terms: tuple[tuple[str, int], ...]
    limit_factors: tuple[str, ...]
    """Codes of the risk factors that held; the least of them cut the limit."""
    limit_factor: Decimal
    bureau_used: bool

    @property
    def digest(self) -> str:
        """SHA-256 of what was decided, by which version, over which inputs, hex."""
        steps = [[s.step, s.result, *s.reason_codes, s.inputs_hash] for s in self.steps]
        amounts = [self.score, self.grade, self.limit, self.annual_rate]
        said = [self.policy_version, self.stage, self.outcome, steps, amounts]
        return hashlib.sha256(canonical(said).encode()).hexdigest()

    @property
    def reason_codes(self) -> tuple[str, ...]:
        """Every step's, in order."""
        return tuple(code for step in self.steps for code in step.reason_codes)

    @property
    def customer_reasons(self) -> tuple[CustomerReason, ...]:
        """What the customer may be told: the classes of what fired, each once."""
        fired = (rule for step in self.steps for rule in step.fired)
        return tuple(dict.fromkeys(rule.customer_reason for rule in fired))


@dataclass(frozen=True)
class Progress:
    """A decision under way; a value: `advance` makes the next one."""

    compiled: CompiledPolicy
    stage: Stage
    business_date: date
    done: int = 0
    """Phases walked."""
    steps: tuple[StepOutcome, ...] = ()
    own: FeatureValues = field(default_factory=dict)
    """The decision's own features so far."""
    scoring: Scoring | None = None
    limit: Limit | None = None
    rate: Decimal | None = None
    bureau_used: bool = False

    @property
    def next_phase(self) -> Phase | None:
        """What comes next; None once decided."""
        phases = self.compiled.stages[self.stage]
        rejected = self.steps and self.steps[-1].result is Result.REJECT
        return None if rejected or self.done == len(phases) else phases[self.done]


def begin(compiled: CompiledPolicy, stage: Stage, business_date: date) -> Progress:
    """A decision before its first step."""
    return Progress(compiled, stage, business_date)


def advance(progress: Progress, features: FeatureValues, *, unanswered: bool = False) -> Progress:
    """Walks the next phase over the features known now.

    `unanswered`: the phase's source did not answer; its fail mode decides, and RETRY is the
    caller's to act on before. Raises ValueError where the decision is already made.
    """
    phase = progress.next_phase
    if phase is None:
        raise ValueError("the decision is made; there is no next phase")
    work = {Step.SCORE: _score, Step.LIMIT: _limit, Step.PRICE: _price}.get(phase.step)
    worked, refusal = work(progress, features) if work else (progress, None)
    if unanswered and phase.source:
        refusal = _silence(progress.compiled, phase.source)
    values = {**features, **worked.own}
    outcome = _outcome(worked, phase, values, refusal)
    steps = progress.steps
    if steps and steps[-1].step is phase.step:
        steps, outcome = steps[:-1], _merge(steps[-1], outcome)
    return replace(
        worked,
        done=progress.done + 1,
        steps=(*steps, outcome),
        bureau_used=progress.bureau_used or (phase.source is Source.BUREAU and not unanswered),
    )


def conclude(progress: Progress) -> Decision:
    """The answer of a decision that is made. Raises ValueError where phases are left."""
    if progress.next_phase is not None:
        raise ValueError(f"{progress.next_phase.step} is still to be walked")
    worst = max((step.result for step in progress.steps), key=SEVERITY.index, default=Result.PASS)
    outcome = {
        Result.PASS: Outcome.APPROVED,
        Result.REVIEW: Outcome.REVIEW,
        Result.REJECT: Outcome.DECLINED,
    }[worst]
    open_ = outcome is not Outcome.DECLINED
    scoring, limit = progress.scoring, progress.limit
    return Decision(
        stage=progress.stage,
        outcome=outcome,
        steps=progress.steps,
        policy_version=progress.compiled.version,
        score=scoring.score if scoring else None,
        grade=_grade(progress).name if scoring else None,
        limit=limit.amount if limit and open_ else None,
        annual_rate=format_value(progress.rate) if open_ else None,
        contributions=scoring.contributions if scoring else (),
        limit_terms=limit.terms if limit else (),
        limit_factors=limit.factor_codes if limit else (),
        limit_factor=limit.factor if limit else Decimal(1),
        bureau_used=progress.bureau_used,
    )


def evaluate(
    compiled: CompiledPolicy,
    features: FeatureValues,
    stage: Stage,
    business_date: date,
    unanswered: frozenset[Source] = frozenset(),
) -> Decision:
    """The decision over features that are all known: for replay, simulation and tests.

    unanswered: the outside sources that gave nothing.
    """
    progress = begin(compiled, stage, business_date)
    while (phase := progress.next_phase) is not None:
        progress = advance(progress, features, unanswered=phase.source in unanswered)
    return conclude(progress)


def _outcome(
    progress: Progress, phase: Phase, values: FeatureValues, refusal: Refusal | None
) -> StepOutcome:
    inputs = {name: format_value(values.get(name)) for name in sorted(phase.reads)}
    fired = [
        _fired(rule, result, features_read(rule.when), inputs)
        for rule, truth in zip(phase.rules, phase.decide(values), strict=True)
        if (result := _result(rule, truth)) is not Result.PASS
    ]
    if refusal:
        fired.append(_fired(refusal, refusal.result, phase.reads, inputs))
    codes = tuple(dict.fromkeys(rule.code for rule in fired))
    if phase.step is Step.SCORE and fired and progress.scoring:
        codes += progress.scoring.adverse_reasons
    return StepOutcome(
        step=phase.step,
        result=max((rule.result for rule in fired), key=SEVERITY.index, default=Result.PASS),
        version=progress.compiled.version,
        reason_codes=codes,
        fired=tuple(fired),
        inputs=inputs,
    )


def _result(rule: Rule, truth: Truth) -> Result:
    match truth:
        case Truth.TRUE:
            return rule.result
        case Truth.UNKNOWN:
            return rule.if_unknown
        case Truth.FALSE:
            return Result.PASS


def _fired(
    why: Rule | Refusal, result: Result, reads: frozenset[str], inputs: Mapping[str, str | None]
) -> FiredRule:
    read = {name: inputs[name] for name in sorted(reads)}
    return FiredRule(why.code, why.description, result, why.customer_reason, read)


def _merge(earlier: StepOutcome, later: StepOutcome) -> StepOutcome:
    """Two phases of one step, as one."""
    return replace(
        later,
        result=max(earlier.result, later.result, key=SEVERITY.index),
        reason_codes=tuple(dict.fromkeys((*earlier.reason_codes, *later.reason_codes))),
        fired=(*earlier.fired, *later.fired),
        inputs={**earlier.inputs, **later.inputs},
    )


def _silence(compiled: CompiledPolicy, source: Source) -> Refusal | None:
    """What an unanswered source gives. Raises ValueError for RETRY: then nothing is decided."""
    if compiled.fail_mode(source) is FailMode.RETRY:
        raise ValueError(f"{source} did not answer and is to be tried again; nothing is decided")
    return next(each.refusal for each in compiled.policy.sources if each.source is source)


def _grade(progress: Progress) -> Grade:
    if progress.scoring is None:
        raise ValueError("there is no grade before the score")
    return progress.compiled.policy.grade_of(progress.scoring.score)


Worked = tuple[Progress, Refusal | None]


def _score(progress: Progress, features: FeatureValues) -> Worked:
    policy = progress.compiled.policy
    scoring = policy.scorecard.score(features)
    own: dict[str, Value | None] = {
        **progress.own,
        SCORE_FEATURE: scoring.score,
        GRADE_FEATURE: policy.grade_of(scoring.score).name,
    }
    return replace(progress, scoring=scoring, own=own), None


def _limit(progress: Progress, features: FeatureValues) -> Worked:
    compiled, grade = progress.compiled, _grade(progress)
    truths = compiled.decide_factors({**features, **progress.own})
    limit = compute_limit(
        compiled.policy.limit,
        grade.limit,
        LimitInputs(
            product_min=_amount(features, PRODUCT_MIN),
            product_max=_amount(features, PRODUCT_MAX),
            periods=_amount(features, PERIODS),
            monthly_income=_amount(features, INCOME),
            monthly_due=max(_amount(features, DECLARED_DUE), _amount(features, BUREAU_DUE)),
            exposure=_amount(features, EXPOSURE),
            segment=str(features.get(SEGMENT)),
            annual_rate=_rate(progress, features) or Decimal(0),
            collateral_value=_known(features.get(COLLATERAL)),
        ),
        tuple(
            factor
            for factor, truth in zip(compiled.policy.limit.factors, truths, strict=True)
            if truth is Truth.TRUE
        ),
        progress.business_date,
    )
    own: dict[str, Value | None] = {**progress.own, LIMIT_FEATURE: limit.amount}
    refusal = None if limit.amount else compiled.policy.limit_refusal
    return replace(progress, limit=limit, own=own), refusal


def _price(progress: Progress, features: FeatureValues) -> Worked:
    rate = _rate(progress, features)
    own: dict[str, Value | None] = {**progress.own, RATE_FEATURE: rate}
    refusal = progress.compiled.policy.price_refusal if rate is None else None
    return replace(progress, rate=rate, own=own), refusal


def _rate(progress: Progress, features: FeatureValues) -> Decimal | None:
    price, cap = _grade(progress).price, features.get(COST_CAP)
    if price is None:
        return None
    return rate_under_cap(
        progress.compiled.policy.price,
        price,
        cap if isinstance(cap, Decimal) else None,
        progress.business_date,
    )


def _known(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


def _amount(features: FeatureValues, name: str) -> int:
    return _known(features.get(name)) or 0
