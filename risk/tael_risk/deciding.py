"""A decision under way: the policy's phases walked over what is known, outside data fetched late."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import grpc
import structlog

from tael_client import context as call_context
from tael_risk.bureau import FOR_APPROVAL, KIND, BureauDesk, Question, observation_id
from tael_risk.compiled_policies import CompiledPolicy
from tael_risk.consents import ConsentClaim, await_known, is_live
from tael_risk.decisions import Decision, advance, begin, conclude
from tael_risk.features import Registry, Source, Value
from tael_risk.observation_store import load, stored
from tael_risk.observations import (
    FeatureValue,
    Observation,
    Perspective,
    compute_features,
    values_of,
)
from tael_risk.outside import KINDS, OutsideDesk
from tael_risk.people import Person
from tael_risk.policies import FailMode, Stage
from tael_risk.reasons import Reason
from tael_runtime import errors
from tael_runtime.server import Runtime

log = structlog.get_logger()

KINDS_OF = {Source.EXTERNAL: KINDS, Source.BUREAU: (KIND,)}

NO_TIME = 0.05
"""Seconds before its deadline from which a call counts as late."""


@dataclass(frozen=True)
class Terms:
    """What is asked for; amounts in minor units."""

    amount: int
    periods: int
    product_min: int
    product_max: int
    cost_cap: Decimal | None
    """Annual."""


@dataclass(frozen=True)
class Case:
    """What is to be decided."""

    decision_id: str
    stage: Stage
    customer_id: str
    subject_id: str
    """The application or drawdown."""
    person: Person
    terms: Terms
    consent_id: str
    business_date: date
    caller: str

    @property
    def claim(self) -> ConsentClaim:
        """What allows outside queries."""
        return ConsentClaim(self.consent_id, self.customer_id, self.business_date)


@dataclass(frozen=True)
class Decided:
    """A decision with all it rests on."""

    decision: Decision
    features: Mapping[str, FeatureValue]
    unanswered: frozenset[Source]
    """Outside sources that gave nothing."""
    micros: Mapping[str, int]
    """Time taken by step."""


@dataclass(frozen=True)
class Sight:
    """What a decision sees; a value: what is fetched makes the next one."""

    known: Sequence[Observation]
    given: Mapping[str, Value]
    features: Mapping[str, FeatureValue]
    unanswered: frozenset[Source] = frozenset()


class Decider:
    """Walks cases through policies."""

    def __init__(self, runtime: Runtime, registry: Registry) -> None:
        self._database = runtime.database
        self._registry = registry
        self._bureau = BureauDesk(runtime)
        self._outside = OutsideDesk(runtime)

    def decide(
        self, case: Case, compiled: CompiledPolicy, keep_alive: Callable[[], None]
    ) -> Decided:
        """The decision of a case. No transaction is open while anyone outside is asked.

        keep_alive is called before each wait. Raises Unavailable CONSENT_UNHEARD where the consent is
        not known yet, SOURCE_SILENT where a source that must answer does not; FailedPrecondition
        CONSENT_MISSING where a policy would fetch what no consent allows; then nothing is decided.
        """
        await_known(self._database, case.consent_id)
        sight = self._first_sight(case)
        progress = begin(compiled, case.stage, case.business_date)
        micros: Counter[str] = Counter()
        while (phase := progress.next_phase) is not None:
            began = time.perf_counter_ns()
            if phase.source is not None:
                fetched = self._fetch(phase.source, case, compiled, sight, keep_alive)
                sight = self._next_sight(case, sight, phase.source, fetched)
            progress = advance(
                progress,
                values_of(sight.features),
                unanswered=phase.source in sight.unanswered,
            )
            micros[phase.step] += (time.perf_counter_ns() - began) // 1000
        return Decided(conclude(progress), sight.features, sight.unanswered, micros)

    def _first_sight(self, case: Case) -> Sight:
        """What is known before anyone outside is asked, of one instant."""
        with self._database.read() as snapshot:
            known = load(snapshot, self._registry, case.customer_id, case.business_date)
            given = _given(case.terms, consented=is_live(snapshot, case.claim))
        return Sight(known, given, self._features(case, known, given))

    def _next_sight(
        self, case: Case, sight: Sight, source: Source, fetched: Sequence[Observation] | None
    ) -> Sight:
        """What is known after a source was asked.

        Of a silent one nothing counts, not even what it said before.
        """
        if fetched is None:
            known = [item for item in sight.known if item.kind not in KINDS_OF[source]]
            unanswered = sight.unanswered | {source}
        else:
            known, unanswered = [*sight.known, *fetched], sight.unanswered
        return Sight(known, sight.given, self._features(case, known, sight.given), unanswered)

    def _features(
        self, case: Case, known: Sequence[Observation], given: Mapping[str, Value]
    ) -> Mapping[str, FeatureValue]:
        perspective = Perspective(case.customer_id, case.business_date, case.subject_id)
        return compute_features(self._registry, known, perspective, given)

    def _fetch(
        self,
        source: Source,
        case: Case,
        compiled: CompiledPolicy,
        sight: Sight,
        keep_alive: Callable[[], None],
    ) -> Sequence[Observation] | None:
        """What a source adds to what is known; None where it did not answer."""
        try:
            if source is Source.BUREAU:
                keep_alive()
                return self._report(case)
            kinds = self._kinds_read(compiled, case.stage)
            return self._outside.fetch(kinds, case.claim, case.person, sight.known, keep_alive)
        except grpc.RpcError as error:
            _raise_if_late()
            code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
            log.warning("source silent", source=source, code=code, decision=case.decision_id)
            if compiled.fail_mode(source) is FailMode.RETRY:
                raise errors.Unavailable(
                    Reason.SOURCE_SILENT, f"{source} did not answer ({code}); nothing was decided"
                ) from error
            return None

    def _report(self, case: Case) -> list[Observation]:
        question = Question(
            query_id=case.decision_id.replace("dec_", "bq_", 1),
            claim=case.claim,
            person=case.person,
            reason_code=FOR_APPROVAL,
            operator=case.caller,
        )
        with self._database.begin() as transaction:
            serving = self._bureau.open(transaction, question)
            if serving is not None:
                return [stored(transaction, observation_id(serving.query_id))]
        return [self._bureau.ask(question)]

    def _kinds_read(self, compiled: CompiledPolicy, stage: Stage) -> frozenset[str]:
        """The kinds of observation that a stage reads."""
        names = {name for phase in compiled.stages[stage] for name in phase.reads}
        recipes = (self._registry[name].derivation for name in names)
        return frozenset(recipe.kind for recipe in recipes if recipe)


def _given(terms: Terms, *, consented: bool) -> dict[str, Value]:
    given: dict[str, Value] = {
        "consent.now.live": consented,
        "request.now.amount": terms.amount,
        "request.now.periods": terms.periods,
        "product.now.min_amount": terms.product_min,
        "product.now.max_amount": terms.product_max,
    }
    if terms.cost_cap is not None:
        given["product.now.cost_cap"] = terms.cost_cap
    return given


def _raise_if_late() -> None:
    """A source cut off by the caller's own deadline was not silent."""
    call = call_context.current()
    left = call.seconds_left() if call else None
    if left is not None and left <= NO_TIME:
        raise errors.DeadlineExceeded(
            errors.Reason.DEADLINE_TOO_SHORT, "the deadline passed before the sources answered"
        )
