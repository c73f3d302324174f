"""How a payment is spread over what is owed; nothing is ever rounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from tael_servicing.arithmetic.terms import Part, Sweep


def allocate(
    amount: int, owed: Sequence[Mapping[Part, int]], order: Sequence[Part], sweep: Sweep
) -> tuple[list[dict[Part, int]], int]:
    """What each instalment receives, oldest first, and what is left over."""
    taken: list[dict[Part, int]] = [{} for _ in owed]
    for index, part in _walk(len(owed), order, sweep):
        here = min(amount, owed[index].get(part, 0))
        if here:
            taken[index][part] = here
            amount -= here
    return taken, amount


def _walk(instalments: int, order: Sequence[Part], sweep: Sweep) -> Iterator[tuple[int, Part]]:
    match sweep:
        case Sweep.HORIZONTAL:
            yield from product(range(instalments), order)
        case Sweep.VERTICAL:
            yield from ((index, part) for part, index in product(order, range(instalments)))
