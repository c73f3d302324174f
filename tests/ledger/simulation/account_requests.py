"""Draws about accounts: opened ahead, limited, frozen, closed; and what is reserved on them."""

from __future__ import annotations

from collections.abc import Callable

from ledger.simulation.draws import World
from ledger.simulation.operations import Operation

DRAWS: list[tuple[int, Callable[[World], Operation]]] = []
