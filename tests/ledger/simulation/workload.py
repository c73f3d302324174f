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
    """The next burst. What is drawn depends on the seed and the step; ids and dates in it also on
    what the book holds."""
    if world.step == 1:
        return Burst([account_requests.open_wallets(world)])
    dice = world.dice
    count = 1 if dice.random() < 0.4 else dice.randint(2, most)
    operations = []
    for place in range(count):
        one = World(world.state, random.Random(f"{world.step}/{place}/{dice.random()}"), world.step)
        one.place, one.sent = place, world.sent
        operations.append(_draw(one))
    if dice.random() < 0.25:
        operations.append(dice.choice(operations))
    if world.sent and dice.random() < 0.25:
        operations.append(repetition(world))
    dice.shuffle(operations)
    hang_ups = {
        place: dice.uniform(0.0, 0.03) for place in range(len(operations)) if dice.random() < 0.08
    }
    fault = ""
    if dice.random() < fault_chance:
        weights = [weight for weight, _ in FAULTS.values()]
        fault = dice.choices(list(FAULTS), weights)[0]
    return Burst(operations, hang_ups, fault)


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
