"""Draws of closings and of versions of the posting rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ledger.simulation.draws import World
from ledger.simulation.operations import Operation

from tael.ledger.v1 import accounting_pb2 as ac
from tael_client.values import from_date


def close_day(world: World) -> Operation:
    """The open day; rarely another, closed before or to come."""
    other = world.dice.choice((0, 0, 0, 0, -1, 1))
    request = ac.CloseDayRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        business_date=from_date(world.state.business_date + timedelta(days=other)),
    )
    return Operation("CloseDay", (request,))


DRAWS: list[tuple[int, Callable[[World], Operation]]] = [
    (2, close_day),
]
