"""Decisions in the store: a request is claimed, decided once, and its record never changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format
from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tael.risk.v1 import decision_pb2
from tael_risk.deciding import Case, Decided
from tael_risk.decision_messages import Heading, explanation_message
from tael_risk.decisions import Outcome
from tael_risk.features import FeatureValues, Registry, Source, format_value, parse_value
from tael_risk.observation_store import NewObservation, record
from tael_risk.observations import FeatureValue
from tael_risk.people import seal_person
from tael_risk.policies import Stage
from tael_risk.tables import decision as decisions
from tael_risk.tables import decision_claim as claims
from tael_runtime import idempotency
from tael_runtime.crypto import Cipher
from tael_runtime.database import Database
from tael_runtime.errors import NotFound
from tael_runtime.ids import new_id

RPC = "Decide"
LEASE = timedelta(seconds=5)
"""Longer than any one wait between two renewals; a repetition after a crash waits so long."""


@dataclass(frozen=True)
class Kept:
    """What a decision was made of, for replay."""

    heading: Heading
    stage: Stage
    policy_name: str
    policy_version: int
    features: FeatureValues
    unanswered: frozenset[Source]
    digest: str


def claim(
    database: Database, request: decision_pb2.DecideRequest
) -> decision_pb2.DecideResponse | str | None:
    """The kept answer; or the id of the decision that is now this caller's to make; or None.

    None: somebody else is at work on the same request. A claim whose lease ran out is taken over,
    its id with it. Raises AlreadyExists REQUEST_ID_REUSED.
    """
    with database.begin() as transaction:
        kept = idempotency.claim(transaction, database.cipher, RPC, request)
        if kept:
            return decision_pb2.DecideResponse.FromString(kept)
        until = func.now() + LEASE
        taken: str | None = transaction.execute(
            insert(claims)
            .values(
                caller=idempotency.current_caller(),
                request_id=request.request_id,
                decision_id=new_id("dec"),
                leased_until=until,
            )
            .on_conflict_do_update(
                index_elements=["caller", "request_id"],
                set_={"leased_until": until},
                where=claims.c.leased_until < func.now(),
            )
            .returning(claims.c.decision_id)
        ).scalar_one_or_none()
        return taken


def renew(database: Database, decision_id: str) -> None:
    """Keeps a claim for another lease."""
    _lease(database, decision_id, LEASE)


def release(database: Database, decision_id: str) -> None:
    """Gives a claim up undecided: a repetition may begin at once."""
    _lease(database, decision_id, timedelta(0))


def _lease(database: Database, decision_id: str, time: timedelta) -> None:
    with database.begin() as transaction:
        transaction.execute(
            update(claims)
            .where(claims.c.decision_id == decision_id)
            .values(leased_until=func.now() + time)
        )


def store(
    transaction: Connection,
    cipher: Cipher,
    request: decision_pb2.DecideRequest,
    case: Case,
    decided: Decided,
    at: datetime,
) -> decision_pb2.DecideResponse:
    """Keeps a decision and its answer, once; gives the answer that was kept first."""
    heading = Heading(
        decision_id=case.decision_id,
        customer_id=case.customer_id,
        subject_id=case.subject_id,
        business_date=case.business_date,
        currency_code=request.loan.amount.currency_code,
        decided_at=at,
    )
    decision = decided.decision
    name, _, version = decision.policy_version.rpartition("@")
    explanation = explanation_message(heading, decision, decided.micros)
    fresh = transaction.execute(
        insert(decisions)
        .values(
            decision_id=case.decision_id,
            customer_id=case.customer_id,
            subject_id=case.subject_id,
            stage=decision.stage,
            outcome=decision.outcome,
            policy_name=name,
            policy_version=int(version),
            business_date=case.business_date,
            decided_at=at,
            caller=case.caller,
            consent_id=case.consent_id,
            applicant=seal_person(cipher, case.person),
            currency_code=heading.currency_code,
            inputs=_inputs(decided),
            record=json_format.MessageToDict(explanation, preserving_proto_field_name=True),
            digest=decision.digest,
        )
        .on_conflict_do_nothing()
    )
    if not fresh.rowcount:
        first = explanation_of(transaction, case.decision_id)
        return decision_pb2.DecideResponse(decision=first.decision)
    _record_score(transaction, case, decided)
    response = decision_pb2.DecideResponse(decision=explanation.decision)
    idempotency.keep(transaction, RPC, request, response.SerializeToString())
    return response


def _record_score(transaction: Connection, case: Case, decided: Decided) -> None:
    """An approved applicant's score is what later scores are held against."""
    decision = decided.decision
    if (
        case.stage is Stage.APPLICATION
        and decision.outcome is Outcome.APPROVED
        and decision.score is not None
    ):
        score = NewObservation(
            observation_id=f"score:{case.decision_id}",
            customer_id=case.customer_id,
            kind="SCORE",
            date=case.business_date,
            facts={"score": str(decision.score)},
        )
        record(transaction, [score])


def explanation_of(
    transaction: Connection, decision_id: str
) -> decision_pb2.ExplainDecisionResponse:
    """A decision with its reasons. Raises NotFound."""
    query = select(decisions.c.record).where(decisions.c.decision_id == decision_id)
    kept = transaction.execute(query).scalar_one_or_none()
    if kept is None:
        raise NotFound("decision", decision_id)
    return _explanation(kept)


def decisions_about(
    transaction: Connection, customer_id: str, before: str, limit: int
) -> list[decision_pb2.Decision]:
    """At most so many of a customer's decisions, newest first; before: only older ones than this."""
    query = select(decisions.c.record).where(decisions.c.customer_id == customer_id)
    if before:
        query = query.where(decisions.c.decision_id < before)
    rows = transaction.execute(query.order_by(decisions.c.decision_id.desc()).limit(limit))
    return [_explanation(record).decision for record in rows.scalars()]


def kept_of(transaction: Connection, registry: Registry, decision_id: str) -> Kept:
    """What a decision was made of. Raises NotFound."""
    row = transaction.execute(
        select(decisions).where(decisions.c.decision_id == decision_id)
    ).one_or_none()
    if row is None:
        raise NotFound("decision", decision_id)
    return _kept(row, registry)


def _kept(row: Row[Any], registry: Registry) -> Kept:
    features = {
        name: None if kept["value"] is None else parse_value(registry[name].type, kept["value"])
        for name, kept in row.inputs["features"].items()
        if name in registry
    }
    return Kept(
        heading=Heading(
            decision_id=row.decision_id,
            customer_id=row.customer_id,
            subject_id=row.subject_id,
            business_date=row.business_date,
            currency_code=row.currency_code,
            decided_at=row.decided_at,
        ),
        stage=Stage(row.stage),
        policy_name=row.policy_name,
        policy_version=row.policy_version,
        features=features,
        unanswered=frozenset(Source(name) for name in row.inputs["unanswered"]),
        digest=row.digest,
    )


def _inputs(decided: Decided) -> dict[str, object]:
    return {
        "features": {name: _feature(value) for name, value in decided.features.items()},
        "unanswered": sorted(decided.unanswered),
    }


def _feature(feature: FeatureValue) -> dict[str, object]:
    return {
        "value": format_value(feature.value),
        "version": feature.version,
        "source_time": feature.source_time.isoformat() if feature.source_time else None,
        "default_used": feature.default_used,
    }


def _explanation(record_: Mapping[str, object]) -> decision_pb2.ExplainDecisionResponse:
    return json_format.Parse(json.dumps(record_), decision_pb2.ExplainDecisionResponse())
