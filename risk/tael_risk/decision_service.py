"""DecisionService: the contract's face of decisions."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import grpc

from tael.risk.v1 import decision_pb2, decision_pb2_grpc
from tael_client.values import to_decimal
from tael_risk import decision_store
from tael_risk.deciding import Case, Decider, Terms
from tael_risk.decision_messages import decision_message, to_stage
from tael_risk.decisions import evaluate
from tael_risk.features import Registry
from tael_risk.people import read_person
from tael_risk.policy_store import PolicyBook
from tael_risk.reasons import Reason
from tael_runtime.errors import InvalidArgument, Unavailable
from tael_runtime.fields import read_date
from tael_runtime.idempotency import current_caller
from tael_runtime.paging import text_key, token
from tael_runtime.server import Runtime

CURRENCY = "CNY"
"""A policy's amounts are of one currency."""
PAGE = 50
PAUSE = 0.05
PATIENCE = 15.0
"""Seconds a repetition waits for the first call of its request."""


class Decisions(decision_pb2_grpc.DecisionServiceServicer):
    """Decides, and tells what was decided and why."""

    def __init__(self, runtime: Runtime, registry: Registry, policies: PolicyBook) -> None:
        self._runtime = runtime
        self._database = runtime.database
        self._registry = registry
        self._policies = policies
        self._decider = Decider(runtime, registry)

    def Decide(
        self, request: decision_pb2.DecideRequest, context: grpc.ServicerContext
    ) -> decision_pb2.DecideResponse:
        """One decision a request_id, whoever repeats it and whenever."""
        case = _read_case(request)
        left = context.time_remaining()
        end = time.monotonic() + (PATIENCE if left is None else min(left, PATIENCE))
        while True:
            claimed = decision_store.claim(self._database, request)
            if isinstance(claimed, decision_pb2.DecideResponse):
                return claimed
            if claimed is not None:
                return self._decide(request, replace(case, decision_id=claimed))
            if time.monotonic() + PAUSE > end:
                raise Unavailable(
                    Reason.DECISION_UNDER_WAY, f"request {request.request_id!r} is being decided"
                )
            time.sleep(PAUSE)

    def _decide(
        self, request: decision_pb2.DecideRequest, case: Case
    ) -> decision_pb2.DecideResponse:
        try:
            decided = self._decider.decide(
                case,
                self._policies.deciding(),
                lambda: decision_store.renew(self._database, case.decision_id),
            )
            with self._database.begin() as transaction:
                return decision_store.store(
                    transaction,
                    self._runtime.cipher,
                    request,
                    case,
                    decided,
                    self._runtime.clock.now(),
                )
        finally:
            decision_store.release(self._database, case.decision_id)

    def GetDecision(
        self, request: decision_pb2.GetDecisionRequest, context: grpc.ServicerContext
    ) -> decision_pb2.GetDecisionResponse:
        """One decision."""
        del context
        with self._database.engine.connect() as connection:
            kept = decision_store.explanation_of(connection, request.decision_id)
        return decision_pb2.GetDecisionResponse(decision=kept.decision)

    def ListDecisions(
        self, request: decision_pb2.ListDecisionsRequest, context: grpc.ServicerContext
    ) -> decision_pb2.ListDecisionsResponse:
        """A customer's decisions, newest first."""
        del context
        size, before = request.page_size or PAGE, text_key(request.page_token)
        with self._database.engine.connect() as connection:
            found = decision_store.decisions_about(
                connection, request.customer_id, before, size + 1
            )
        more = len(found) > size
        page = found[:size]
        return decision_pb2.ListDecisionsResponse(
            decisions=page, next_page_token=token(page[-1].decision_id) if more else ""
        )

    def ExplainDecision(
        self, request: decision_pb2.ExplainDecisionRequest, context: grpc.ServicerContext
    ) -> decision_pb2.ExplainDecisionResponse:
        """A decision with the rules that fired, the points and the limit's terms."""
        del context
        with self._database.engine.connect() as connection:
            return decision_store.explanation_of(connection, request.decision_id)

    def ReplayDecision(
        self, request: decision_pb2.ReplayDecisionRequest, context: grpc.ServicerContext
    ) -> decision_pb2.ReplayDecisionResponse:
        """A decision made again of what is kept of it."""
        del context
        with self._database.engine.connect() as connection:
            kept = decision_store.kept_of(connection, self._registry, request.decision_id)
        again = evaluate(
            self._policies.version(kept.policy_name, kept.policy_version),
            kept.features,
            kept.stage,
            kept.heading.business_date,
            kept.unanswered,
        )
        message = decision_message(kept.heading, again, micros={})
        return decision_pb2.ReplayDecisionResponse(
            decision=message, same=again.digest == kept.digest
        )


def _read_case(request: decision_pb2.DecideRequest) -> Case:
    """The case of a request, not yet named. Raises InvalidArgument."""
    return Case(
        decision_id="",
        stage=to_stage(request.stage),
        customer_id=request.customer_id,
        subject_id=request.subject_id,
        person=read_person(request.applicant),
        terms=_read_terms(request.loan),
        consent_id=request.consent_id,
        business_date=read_date("business_date", request.business_date),
        caller=current_caller(),
    )


def _read_terms(loan: decision_pb2.LoanRequest) -> Terms:
    if loan.amount.currency_code != CURRENCY:
        raise InvalidArgument(
            "loan.amount.currency_code", f"is {loan.amount.currency_code}; must be {CURRENCY}"
        )
    if loan.amount.minor_units <= 0:
        raise InvalidArgument("loan.amount.minor_units", "must be positive")
    if loan.product_min > loan.product_max:
        raise InvalidArgument("loan.product_min", "must not be above product_max")
    return Terms(
        amount=loan.amount.minor_units,
        periods=loan.periods,
        product_min=loan.product_min,
        product_max=loan.product_max,
        cost_cap=_read_cost_cap(loan) if loan.HasField("cost_cap") else None,
    )


def _read_cost_cap(loan: decision_pb2.LoanRequest) -> Decimal:
    try:
        cap = to_decimal(loan.cost_cap)
    except ValueError as error:
        raise InvalidArgument("loan.cost_cap", f"{error}; 24 % is 0.24") from error
    if cap < 0:
        raise InvalidArgument("loan.cost_cap", "must not be negative")
    return cap
