"""What a crash or a silent service left half done goes on from here, by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc
import structlog
from sqlalchemy import Connection

from tael.servicing.v1 import event_pb2
from tael_origination import applications, contracts, drawdowns
from tael_origination.approval import Approval
from tael_origination.payout import Payout
from tael_origination.signing import Signing
from tael_runtime.database import Database
from tael_runtime.errors import TaelError
from tael_runtime.server import Loop

log = structlog.get_logger()

PAUSE = 1.0
"""Seconds between rounds."""

GoOn = Callable[[str], object]


def resumer(database: Database, approval: Approval, signing: Signing, payout: Payout) -> Loop:
    """The loop that moves on whatever waits for no person.

    It takes up what waited in the round before already: what is newer is most likely a call under
    way, which loses nothing by being overtaken but need not be.
    """

    def waiting() -> dict[str, GoOn]:
        with database.read() as snapshot:
            submitted = applications.under_way(snapshot)
            half_signed = contracts.half_signed(snapshot)
            drawn = drawdowns.under_way(snapshot)
        return {
            **dict.fromkeys(submitted, approval.advance),
            **dict.fromkeys(half_signed, signing.seal),
            **dict.fromkeys(drawn, payout.advance),
        }

    def run(stop: threading.Event) -> None:
        before: set[str] = set()
        while not stop.wait(PAUSE):
            found = waiting()
            for subject in before & found.keys():
                _take_up(subject, found[subject])
            before = set(found)

    return run


def _take_up(subject: str, go_on: GoOn) -> None:
    """One that cannot go on holds up no other."""
    try:
        go_on(subject)
    except grpc.RpcError as error:
        code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
        log.info("waits", subject=subject, code=code)
    except TaelError as error:
        log.warning("refused", subject=subject, reason=error.reason.name)


def follow_servicing(transaction: Connection, event: event_pb2.Event) -> None:
    """A payout that became known moves its drawdown."""
    match event.WhichOneof("payload"):
        case "loan_opened":
            drawdowns.follow(transaction, event.loan_opened.loan)
        case "loan_state_changed":
            drawdowns.follow(transaction, event.loan_state_changed.loan)
