"""Decisions in the contract's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tael.risk.v1 import decision_pb2
from tael_client.values import from_date, from_decimal, from_instant, money, yuan
from tael_risk import decisions
from tael_risk.decisions import Decision
from tael_risk.features import format_value
from tael_risk.policies import Stage


@dataclass(frozen=True)
class Heading:
    """What a decision's record says besides the decision."""

    decision_id: str
    customer_id: str
    subject_id: str
    business_date: date
    currency_code: str
    decided_at: datetime


def to_stage(value: decision_pb2.Stage.ValueType) -> Stage:
    """A stage from the contract's enum."""
    return Stage(decision_pb2.Stage.Name(value).removeprefix("STAGE_"))


def explanation_message(
    heading: Heading, decision: Decision, micros: Mapping[str, int]
) -> decision_pb2.ExplainDecisionResponse:
    """A decision with its reasons: what is kept of it."""
    fired = (rule for step in decision.steps for rule in step.fired)
    return decision_pb2.ExplainDecisionResponse(
        decision=decision_message(heading, decision, micros),
        rules=[_fired_rule(rule) for rule in fired],
        contributions=[
            decision_pb2.ScoreContribution(
                feature=each.feature,
                value=each.value or "",
                bin=each.bin,
                points=each.points,
                max_points=each.max_points,
            )
            for each in decision.contributions
        ],
        limit_terms=list(_limit_lines(decision)),
    )


def decision_message(
    heading: Heading, decision: Decision, micros: Mapping[str, int]
) -> decision_pb2.Decision:
    """A decision as the contract has it."""
    message = decision_pb2.Decision(
        decision_id=heading.decision_id,
        stage=decision_pb2.Stage.Value(f"STAGE_{decision.stage}"),
        customer_id=heading.customer_id,
        subject_id=heading.subject_id,
        outcome=decision_pb2.Outcome.Value(f"OUTCOME_{decision.outcome}"),
        steps=[
            decision_pb2.DecisionStep(
                step=step.step,
                result=decision_pb2.StepResult.Value(f"STEP_RESULT_{step.result}"),
                reason_codes=step.reason_codes,
                inputs_hash=step.inputs_hash,
                micros=micros.get(step.step, 0),
            )
            for step in decision.steps
        ],
        reason_codes=decision.reason_codes,
        customer_reasons=map(str, decision.customer_reasons),
        score=decision.score or 0,
        grade=decision.grade or "",
        policy_version=decision.policy_version,
        business_date=from_date(heading.business_date),
        decided_at=from_instant(heading.decided_at),
        bureau_used=decision.bureau_used,
    )
    if decision.limit is not None:
        message.limit.CopyFrom(money(decision.limit, heading.currency_code))
    if decision.annual_rate is not None:
        message.annual_rate.CopyFrom(from_decimal(Decimal(decision.annual_rate)))
    return message


def _fired_rule(rule: decisions.FiredRule) -> decision_pb2.FiredRule:
    return decision_pb2.FiredRule(
        code=rule.code,
        description=rule.description,
        inputs={name: value or "" for name, value in rule.inputs.items()},
    )


def _limit_lines(decision: Decision) -> Iterable[str]:
    """ "income 48,000.00" for each bound, then what cut the least of them, then the limit."""
    for name, amount in decision.limit_terms:
        yield f"{name} {yuan(amount)}"
    if decision.limit_factors:
        yield f"{' and '.join(decision.limit_factors)}: × {format_value(decision.limit_factor)}"
    if decision.limit is not None:
        yield f"limit {yuan(decision.limit)}"
