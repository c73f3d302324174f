"""What a request asks for, as a hash: the same whatever Python runs, and another for other content."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_ledger.drafts import Draft, Event, Line
from tael_ledger.postings import entries_hash
from tael_ledger.recorded_events import events_hash

DAY = date(2026, 1, 15)
RARE = "biáng \U00031350"
"""U+31350 came with Unicode 15: an older table has no character there."""
EVENT = Event(
    "LOAN_DISBURSED", DAY, [("principal", 5), ("fee", -1)], {"LOAN": "L1"}, narrative=RARE
)
DRAFT = Draft("FEE", DAY, "desk/1", RARE, [Line("1002", 5, 0), Line("6011.01", 0, 5)])


def test_the_hash_of_entries_is_the_same_for_ever() -> None:
    found = entries_hash([DRAFT], atomic=True, booking_date=DAY).hex()
    assert found == "3f0d6d2ceba090dd8f7ab0827ba2962daca5010b2e0404bdb29e6fd6196a7153"


def test_the_hash_of_events_is_the_same_for_ever() -> None:
    assert (
        events_hash([EVENT], DAY).hex()
        == "93ed5100af2700eb775253318256ae3181b1aa85b3f8dc47d5525077d6af3cff"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"event": "OTHER"},
        {"value_date": date(2026, 1, 14)},
        {"amounts": [("principal", 5), ("fee", 1)]},
        {"owners": {"LOAN": "L2"}},
        {"product": "p"},
        {"accrual_status": "ACCRUAL"},
        {"source": "s"},
        {"narrative": ""},
        {"metadata": "{}"},
    ],
)
def test_events_of_other_content_have_another_hash(other: dict[str, object]) -> None:
    changed = replace(EVENT, **other)  # type: ignore[arg-type]  any of its fields
    assert events_hash([changed], DAY) != events_hash([EVENT], DAY)
    assert events_hash([EVENT], None) != events_hash([EVENT], DAY)


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_texts_do_not_run_into_one_another(texts: list[str]) -> None:
    def hashed(source: str, narrative: str) -> bytes:
        draft = DRAFT._replace(source=source, narrative=narrative)
        return entries_hash([draft], atomic=True, booking_date=None)

    first, second, *_ = texts
    joined = hashed(first + second, "")
    assert (joined == hashed(first, second)) == (second == "")
