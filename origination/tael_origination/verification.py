"""How a check is made: written down first, the registry asked outside any transaction, then settled.

A check that was interrupted is taken up again by the same request; a registry that cannot say leaves
the customer as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from sqlalchemy import Connection

from tael.provider.v1 import identity_pb2
from tael_origination import checks, customers, events
from tael_origination.checks import Finding, Kind, Result
from tael_origination.customers import CustomerFile, Person
from tael_origination.reasons import Reason
from tael_origination.requests import made_once
from tael_origination.today import shanghai_day
from tael_runtime.errors import AlreadyExists, Unavailable
from tael_runtime.errors import Reason as CommonReason
from tael_runtime.server import Runtime

RESULTS = {
    identity_pb2.MATCH_RESULT_MATCH: Result.MATCH,
    identity_pb2.MATCH_RESULT_MISMATCH: Result.MISMATCH,
}


def read_result(answer: identity_pb2.MatchResult.ValueType) -> Result:
    """The provider's word; what is neither yes nor no is UNKNOWN."""
    return RESULTS.get(answer, Result.UNKNOWN)


class Verifier:
    """Makes checks."""

    def __init__(self, runtime: Runtime, file: CustomerFile) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._file = file

    def check(
        self,
        rpc: str,
        request: Any,
        kind: Kind,
        ask: Callable[[Person], Finding],
        *,
        admit: Callable[[Connection], None] = lambda _: None,
        effect: Callable[[Connection], None] = lambda _: None,
        image_hash: bytes = b"",
    ) -> Finding:
        """The verdict on a request's customer.

        admit: guards, in the transaction that writes the check down, the customer's row held.
        effect: what a MATCH brings about, in the transaction that settles it. Raises Unavailable
        REGISTRY_SILENT where the registry cannot say.
        """
        customer_id: str = request.customer_id

        def start(transaction: Connection) -> str:
            customers.lock(transaction, customer_id)
            admit(transaction)
            now, day = self._clock.now(), shanghai_day(self._clock)
            return checks.start(transaction, customer_id, kind, day, now, image_hash or None)

        check_id = made_once(self._db, rpc, request, start)
        with self._db.read() as snapshot:
            known, image_before = checks.finding(snapshot, check_id)
            person = self._file.person(snapshot, customer_id)
        if image_before != image_hash:
            raise AlreadyExists(
                CommonReason.REQUEST_ID_REUSED,
                f"request_id {request.request_id!r} was used for {rpc} with another image",
            )
        return known if known.answered else self._settled(check_id, person, ask, effect)

    def _settled(
        self,
        check_id: str,
        person: Person,
        ask: Callable[[Person], Finding],
        effect: Callable[[Connection], None],
    ) -> Finding:
        try:
            finding = ask(person)
        except grpc.RpcError:
            self._settle(check_id, person, Finding(Result.UNKNOWN), effect)
            raise
        self._settle(check_id, person, finding, effect)
        if not finding.answered:
            raise Unavailable(
                Reason.REGISTRY_SILENT, "the registry cannot say now; repeat the request later"
            )
        return finding

    def _settle(
        self,
        check_id: str,
        person: Person,
        finding: Finding,
        effect: Callable[[Connection], None],
    ) -> None:
        with self._db.begin() as transaction:
            if not checks.settle(transaction, check_id, finding) or not finding.answered:
                return
            if finding.result is Result.MATCH:
                effect(transaction)
            customer = self._file.masked(transaction, person.customer_id)
            events.customer_changed(transaction, customer)
