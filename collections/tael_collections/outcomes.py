"""How contacts end and what follows from it. Pure."""

from __future__ import annotations

from enum import StrEnum


class Result(StrEnum):
    """Named as in the contract; UNSPECIFIED until known."""

    UNSPECIFIED = ""
    SENT = "SENT"
    CONNECTED_DEBTOR = "CONNECTED_DEBTOR"
    THIRD_PERSON = "THIRD_PERSON"
    NO_ANSWER = "NO_ANSWER"
    BUSY = "BUSY"
    DEAD_NUMBER = "DEAD_NUMBER"
    PROMISE = "PROMISE"
    REFUSES = "REFUSES"
    DISPUTE = "DISPUTE"
    HARDSHIP = "HARDSHIP"

    @property
    def connected(self) -> bool:
        """Somebody spoke: the day's connected slot stays taken."""
        return self not in UNCONNECTED

    @property
    def proves_demand(self) -> bool:
        """The debtor heard the demand: the limitation runs anew (民法典 §195)."""
        return self in SPOKE_TO_DEBTOR

    @property
    def stops_contact(self) -> bool:
        """The debtor disputes the debt or is in hardship: the case goes on hold."""
        return self in (Result.DISPUTE, Result.HARDSHIP)


UNCONNECTED = frozenset({Result.NO_ANSWER, Result.BUSY, Result.DEAD_NUMBER})
SPOKE_TO_DEBTOR = frozenset(
    {
        Result.CONNECTED_DEBTOR,
        Result.PROMISE,
        Result.REFUSES,
        Result.DISPUTE,
        Result.HARDSHIP,
    }
)
