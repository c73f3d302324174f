"""Outside data other than the bureau's: queries by other lenders (多头), court list (失信/被执行)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from tael.provider.v1 import bureau_pb2, bureau_pb2_grpc
from tael_risk.consents import ConsentClaim, require_live
from tael_risk.observation_store import NewObservation, record
from tael_risk.observations import Observation
from tael_risk.parameters import Name, serves_since
from tael_risk.people import Person
from tael_runtime.ids import new_id
from tael_runtime.server import Runtime

MULTI_LENDER = "MULTI_LENDER"
COURT_LIST = "COURT_LIST"
KINDS = (MULTI_LENDER, COURT_LIST)
"""Cheap to dear."""
TIMEOUT = 3.0
"""Seconds a source has to answer."""


class OutsideDesk:
    """Where outside data other than the bureau's comes from."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._provider = runtime.client(
            "providers", bureau_pb2_grpc.ExternalDataProviderServiceStub
        )

    def fetch(
        self,
        kinds: Collection[str],
        claim: ConsentClaim,
        person: Person,
        known: Collection[Observation],
        keep_alive: Callable[[], None],
    ) -> list[Observation]:
        """Asks for the kinds that nothing known still serves, and records what comes.

        keep_alive is called before each question. Raises FailedPrecondition CONSENT_MISSING,
        grpc.RpcError where a source does not answer.
        """
        since = serves_since(Name.EXTERNAL_VALIDITY_DAYS, claim.business_date)
        own = [item for item in known if item.customer_id == claim.customer_id]
        serving = {item.kind for item in own if item.date >= since}
        fetched: list[Observation] = []
        for kind in KINDS:
            if kind in kinds and kind not in serving:
                keep_alive()
                fetched += self._ask(kind, claim, person)
        return fetched

    def _ask(self, kind: str, claim: ConsentClaim, person: Person) -> list[Observation]:
        with self._runtime.database.engine.connect() as connection:
            require_live(connection, claim)
        asked = self._multi_lender if kind == MULTI_LENDER else self._court_list
        observation = NewObservation(
            observation_id=new_id(kind.lower()),
            customer_id=claim.customer_id,
            kind=kind,
            date=claim.business_date,
            facts=asked(claim, person),
        )
        with self._runtime.database.begin() as transaction:
            return record(transaction, [observation])

    def _multi_lender(self, claim: ConsentClaim, person: Person) -> Mapping[str, str]:
        answer = self._provider.QueryMultiLender(
            bureau_pb2.QueryMultiLenderRequest(
                id_number=person.id_number, consent_id=claim.consent_id
            ),
            timeout=TIMEOUT,
        )
        return {field.name: str(getattr(answer, field.name)) for field in answer.DESCRIPTOR.fields}

    def _court_list(self, claim: ConsentClaim, person: Person) -> Mapping[str, str]:
        answer = self._provider.QueryCourtList(
            bureau_pb2.QueryCourtListRequest(
                name=person.name, id_number=person.id_number, consent_id=claim.consent_id
            ),
            timeout=TIMEOUT,
        )
        return {"listed": "true" if answer.listed else "false"}
