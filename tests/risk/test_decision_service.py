"""Decisions over the real simulators, store and wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from risk.applications import (
    Desk,
    outcome_of,
    steps_of,
)

from support import House


@pytest.fixture(scope="module")
def desk(open_house: Callable[..., House]) -> Desk:
    house = open_house("simulators", "risk")
    desk = Desk(house)
    desk.publish()
    return desk


def test_a_good_applicant_is_approved_with_the_worked_limit_and_rate(desk: Desk) -> None:
    decision = desk.decide(desk.good())
    assert outcome_of(decision) == "APPROVED"
    assert (decision.score, decision.grade) == (613, "C")
    assert decision.limit.minor_units == 3_370_000
    assert decision.annual_rate.value == "0.12"
    assert decision.bureau_used
    assert {result for result, _ in steps_of(decision).values()} == {"PASS"}
    assert [step.step for step in decision.steps] == [
        "ADMISSION",
        "ANTI_FRAUD",
        "INTERNAL",
        "EXTERNAL",
        "SCORE",
        "LIMIT",
        "PRICE",
    ]
