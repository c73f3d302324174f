"""What other systems and textbooks published, to the cent, with nothing but product terms.

The arithmetic walks every case to its end. The services quote all of them and walk each as far as its
first days go; with TAEL_OUTSIDE=whole to its end, which is a matter of minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby

import pytest
from servicing.bank import Bank
from servicing.outside.in_engine import EngineLoan
from servicing.outside.in_services import ServicesLoan, quote
from servicing.outside.published import CASES, Case, cents, rows_differ

WHOLE = os.environ.get("TAEL_OUTSIDE") == "whole"
FIRST_DAYS = timedelta(days=10_000 if WHOLE else 7)
QUOTED = [case for case in CASES if case.quoted]
LIVES = [case for case in CASES if "steps" in case.told]
PLACES = Decimal("0.00001")
"""An annual cost is published in percent with at most three decimals."""
FIRST = date(2018, 10, 1)


def named(case: Case) -> str:
    return case.id


@pytest.mark.parametrize("case", LIVES, ids=named)
def test_a_published_life_comes_out_to_the_cent(case: Case) -> None:
    for _day in case.walk(EngineLoan(case)):
        pass


@pytest.fixture(scope="module")
def quoting_bank(new_bank: Callable[..., Bank]) -> Bank:
    """A bank whose products are in force before the first case begins."""
    return new_bank(start=FIRST)


@pytest.mark.parametrize("case", QUOTED, ids=named)
def test_a_published_schedule_is_quoted_to_the_cent(quoting_bank: Bank, case: Case) -> None:
    quoted, wanted = quote(quoting_bank, case), case.quoted
    if "rows" in wanted:
        rows = quoted.instalments
        if "left" in wanted:
            # A schedule may end with cents unpaid; a loan asks all that was lent.
            left = cents(wanted["left"])
            rows[-1].principal -= left
            rows[-1].balance_after += left
        assert rows_differ(rows, wanted["rows"]) == []
    if "level" in wanted:
        assert quoted.level == cents(wanted["level"])
    if "total_interest" in wanted:
        assert quoted.disclosure.total_interest == cents(wanted["total_interest"])
    for name in {"apr", "ear"} & set(wanted):
        found = Decimal(getattr(quoted.disclosure, name).value)
        assert abs(found - Decimal(wanted[name])) <= PLACES, name


def first_days() -> list[list[Case]]:
    """Cases of which something is told in their first days, those of one start together."""
    soon = [case for case in LIVES if case.begins <= case.start + FIRST_DAYS]
    ordered = sorted(soon, key=lambda case: case.start)
    return [list(group) for _, group in groupby(ordered, key=lambda case: case.start)]


@pytest.mark.parametrize("cases", first_days(), ids=lambda cases: str(cases[0].start))
def test_the_services_walk_it_too(new_bank: Callable[..., Bank], cases: list[Case]) -> None:
    bank = new_bank(start=cases[0].start)
    until = bank.day + FIRST_DAYS
    walks = [case.walk(ServicesLoan(bank, case)) for case in cases]
    waiting = dict.fromkeys(range(len(walks)), bank.day)
    while waiting:
        # Whoever comes first in the calendar goes on: the book has one business date.
        index = min(waiting, key=lambda each: (waiting[each], each))
        upcoming = next(walks[index], None)
        if upcoming is None or upcoming > until:
            del waiting[index]
        else:
            waiting[index] = upcoming
    bank.assert_books_agree()
