"""Bursts of operations, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.simulation import account_requests, closing_requests, posting_requests
from ledger.simulation.draws import World
from ledger.simulation.faults import FAULTS
from ledger.simulation.operations import STREAMS, Operation

Draw = Callable[[World], Operation]
DRAWS: list[tuple[int, Draw]] = [
    *posting_requests.DRAWS,
    *account_requests.DRAWS,
    *closing_requests.DRAWS,
]
"""Weights and kinds of operations."""


@dataclass(frozen=True)
class Burst:
    """Operations sent at the same time, and what goes wrong meanwhile."""

    operations: list[Operation]
    hang_ups: dict[int, float] = field(default_factory=dict)
    """Seconds after which the caller at a place hangs up and repeats."""
    fault: str = ""


def draw_burst(world: World, *, most: int, fault_chance: float) -> Burst:
    """The next burst: at most so many operations, a duplicate and a repetition besides.

    How many there are, of which kinds, and what goes wrong is drawn before anything that depends on
    what stands in the book: whatever callers raced for before, it comes out the same.
    """
    if world.step == 1:
        return Burst([account_requests.open_wallets(world)])
    dice = world.dice
    count = 1 if dice.random() < 0.4 else dice.randint(2, most)
    doubled = dice.randrange(count) if dice.random() < 0.25 else None
    repeated = dice.random() < 0.25
    order = random.Random(dice.random())
    hang_ups = {p: dice.uniform(0.0, 0.03) for p in range(count) if dice.random() < 0.08}
    fault = _draw_fault(dice) if dice.random() < fault_chance else ""
    worlds = [world.at(place) for place in range(count + 1)]
    operations = [_draw(one) for one in worlds[:count]]
    if doubled is not None:
        operations.append(operations[doubled])
    if repeated and world.sent:
        operations.append(repetition(worlds[count]))
    order.shuffle(operations)
    return Burst(_tellable(operations), hang_ups, fault)


def _tellable(operations: list[Operation]) -> list[Operation]:
    """Without what no answer tells the order of: columns beside an approval (whose rules did they
    follow?), and an account's limits set beside other limits of it (which of them stand?)."""
    approving = any(one.rpc == "ApprovePostingRules" for one in operations)
    limiting: dict[str, Operation] = {}
    kept = []
    for one in operations:
        if one.rpc == "RecordEventColumns" and approving:
            continue
        if one.rpc == "SetAccountLimits":
            number = one.parts[0].account_number
            if limiting.setdefault(number, one) != one:
                continue
        kept.append(one)
    return kept


def _draw_fault(dice: random.Random) -> str:
    weights = [weight for weight, _ in FAULTS.values()]
    return dice.choices(list(FAULTS), weights)[0]


def _draw(world: World) -> Operation:
    draws = [draw for _, draw in DRAWS]
    chosen: Draw = world.dice.choices(draws, [weight for weight, _ in DRAWS])[0]
    return chosen(world)


def repetition(world: World) -> Operation:
    """Something sent before, or its request_id with other content."""
    dice = world.dice
    before = dice.choice(world.sent)
    if dice.random() < 0.7:
        return before
    others = [one for one in world.sent if one.rpc == before.rpc and one.caller == before.caller]
    other = dice.choice(others)
    first = type(other.parts[0])()
    first.CopyFrom(other.parts[0])
    (first.header if other.rpc in STREAMS else first).request_id = before.request_id
    return Operation(other.rpc, (first, *other.parts[1:]), other.caller)
