"""A large day's end is killed five times, and nothing of it shows."""

from __future__ import annotations

import random

import pytest
from journeys.torture import Round, Torture

LOANS = 2_000
"""A tenth of what the torture takes by itself: the suite has little time."""
DAYS = (
    Round(1, ("worker", "ledger", "postmaster"), 2, random.Random("three")),
    Round(2, ("servicing", "worker"), 1, random.Random("two")),
)


@pytest.mark.timeout(900)
def test_a_day_that_is_killed_five_times_leaves_what_an_undisturbed_one_leaves() -> None:
    with Torture(LOANS, print) as torture:
        quiet = torture.undisturbed
        assert quiet.findings == ()
        assert len(quiet.journal.splitlines()) > LOANS
        for each in DAYS:
            assert torture.disturbed(each).differing(quiet) == [], torture.killed
        assert torture.killed == [victim for each in DAYS for victim in each.victims]
