"""Whether what concurrent callers heard is what they would have heard one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.simulation.operations import Heard, Operation, admits, brief
from ledger.simulation.oracle import foretell
from ledger.simulation.state import State

from tael.ledger.v1 import ledger_pb2 as pb

MOST_STEPS = 20_000
TOLD = 2_000
"""Characters that a failure tells of a message."""


@dataclass(frozen=True)
class Call:
    """An operation and what its caller heard in the end."""

    operation: Operation
    heard: Heard


class NoOrderError(AssertionError):
    """No order of the calls explains what was heard."""


def settle(state: State, calls: Sequence[Call]) -> None:
    """Takes the state through some order of the calls in which each hears what it heard.

    A call that changes nothing is placed as soon as it fits, which rules out no order; where
    several that change something fit, each is tried. Raises NoOrderError.
    """
    search = _Search(state)
    if not search.place(list(calls)):
        raise NoOrderError("\n".join(search.explain()))
    state.settle()


class _Search:
    def __init__(self, state: State) -> None:
        self.state = state
        self.steps = 0
        self.closest = list[Call]()
        self.best: int | None = None

    def place(self, calls: list[Call]) -> bool:
        changing = []
        for call in list(calls):
            mark = self.state.mark()
            fits = self._fits(call)
            if fits and self.state.mark() == mark:
                calls.remove(call)
            elif fits:
                changing.append(call)
            self.state.back_to(mark)
        if self.best is None or len(calls) < self.best:
            self.best, self.closest = len(calls), list(calls)
        if not calls:
            return True
        for call in changing:
            mark = self.state.mark()
            assert self._fits(call)
            if self.place([other for other in calls if other is not call]):
                return True
            self.state.back_to(mark)
        return False

    def _fits(self, call: Call) -> bool:
        self.steps += 1
        assert self.steps < MOST_STEPS, "too many orders to try"
        if isinstance(call.heard, pb.ReserveResponse):
            self.state.given_id = call.heard.reservation.reservation_id
        return admits(foretell(self.state, call.operation), call.heard)

    def explain(self) -> list[str]:
        """The calls that fit nowhere, with what was heard and what was foretold at first."""
        lines = ["no order explains what was heard; in the best, these are left:"]
        for call in self.closest:
            mark = self.state.mark()
            foretold = foretell(self.state, call.operation)
            self.state.back_to(mark)
            lines += [
                f"  {str(call.operation)[:TOLD]}",
                f"    heard    {brief(call.heard)[:TOLD]}",
                f"    foretold {str(foretold)[:TOLD]} (before all of them)",
            ]
        return lines
