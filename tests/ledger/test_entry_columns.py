"""Many entries in columns are what the same entries are one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import pytest
from google.type import date_pb2
from hypothesis import given
from hypothesis import strategies as st

from support import day
from tael.ledger.v1 import ledger_pb2 as pb
from tael_ledger import rows
from tael_ledger.chart import Chart, GlAccount, chart_of
from tael_ledger.drafts import Draft
from tael_ledger.entry_columns import line_count
from tael_ledger.line_buffer import LineBuffer
from tael_ledger.new_entries import read_columns, read_drafts
from tael_ledger.postings import check_balanced, entries_hash
from tael_ledger.rows import EntryRow, days
from tael_runtime.errors import InvalidArgument

BOOKED = days(date(2026, 1, 15))
MOST = 900_000_000_000_000
CHART: Chart = chart_of(
    [
        GlAccount("1002", "", "", "ASSET", "DEBIT"),
        GlAccount("6011.01", "", "", "INCOME", "CREDIT"),
        GlAccount("7001", "", "", "MEMO", "DEBIT"),
        GlAccount("7999", "", "", "MEMO", "CREDIT"),
    ]
)

of_main = partial(read_columns, "main")

text = st.text(max_size=5)
number = st.sampled_from(["1002", "6011.01", "1002:LOAN:L1", "7001", "7999:LOAN:L1"])
amount = st.one_of(st.integers(-3, 3), st.sampled_from([-MOST, MOST])).filter(bool)


def _line(account_number: str, side: pb.Side.ValueType, value: int) -> pb.PostingLine:
    return pb.PostingLine(account_number=account_number, side=side, amount=value)


line = st.builds(_line, number, st.sampled_from([pb.SIDE_DEBIT, pb.SIDE_CREDIT]), amount)
# A debit and a credit of one amount balance wherever both accounts are on the same balance.
pair = st.builds(
    lambda debit, credit, value: [
        _line(debit, pb.SIDE_DEBIT, value),
        _line(credit, pb.SIDE_CREDIT, value),
    ],
    number,
    number,
    amount,
)


def _entry(
    event: str, value_date: date, texts: tuple[str, str], facts: dict[str, str], lines: object
) -> pb.NewEntry:
    source, narrative = texts
    return pb.NewEntry(
        event=event,
        value_date=day(value_date.isoformat()),
        source=source,
        narrative=narrative,
        metadata=facts,
        lines=lines,  # type: ignore[arg-type]  lines of a strategy
    )


entries = st.lists(
    st.builds(
        _entry,
        st.sampled_from(["FEE", "MANUAL_ADJUSTMENT"]),
        st.dates(date(1900, 1, 1), date(2999, 12, 31)),
        st.tuples(text, text),
        st.dictionaries(text, text, max_size=2),
        pair | st.lists(line, min_size=2, max_size=4),
    ),
    min_size=1,
    max_size=6,
)


@given(entries)
def test_columns_give_the_drafts_that_are_read_one_by_one(given_: Sequence[pb.NewEntry]) -> None:
    drafts, columns = read_drafts(given_), of_main(given_)
    assert list(columns) == drafts
    assert (len(columns), line_count(columns)) == (len(drafts), line_count(drafts))


@given(entries, st.booleans(), st.none() | st.dates())
def test_columns_ask_for_the_same_as_their_drafts(
    given_: Sequence[pb.NewEntry], atomic: bool, booking_date: date | None
) -> None:
    one, other = (
        entries_hash(read(given_), atomic=atomic, booking_date=booking_date)
        for read in (read_drafts, of_main)
    )
    assert one == other


@given(entries)
def test_columns_are_balanced_where_each_of_their_entries_is(
    given_: Sequence[pb.NewEntry],
) -> None:
    assert of_main(given_).is_balanced(CHART) == all(map(_passes, read_drafts(given_)))


def test_columns_with_an_account_of_no_code_are_not_balanced() -> None:
    lines = [_line("9999", pb.SIDE_DEBIT, 1), _line("9999", pb.SIDE_CREDIT, 1)]
    columns = of_main([_entry("FEE", date(2026, 1, 15), ("", ""), {}, lines)])
    assert not columns.is_balanced(CHART)


def _passes(draft: Draft) -> bool:
    try:
        check_balanced("lines", draft.lines, CHART)  # type: ignore[arg-type]  no columns of lines
    except InvalidArgument:
        return False
    return True


@given(entries, st.integers(1, 10**15))
def test_columns_are_written_as_their_drafts_are(
    given_: Sequence[pb.NewEntry], first_sequence: int
) -> None:
    drafts, columns = read_drafts(given_), of_main(given_)
    placed = list(enumerate(drafts, first_sequence))
    one_by_one = [
        EntryRow(
            sequence,
            days(draft.value_date),
            BOOKED,
            0,
            0,
            draft.line_count,
            draft.event,
            draft.source,
            draft.narrative,
            draft.metadata,
        )
        for sequence, draft in placed
    ]
    written = columns.rows.placed(first_sequence, BOOKED)
    assert written == rows.entry_bytes("main", one_by_one)

    ids = list(range(7, 7 + line_count(drafts)))
    buffer, column_buffer, left = LineBuffer(), LineBuffer(), iter(ids)
    for sequence, draft in placed:
        buffer.add(sequence, draft, [next(left) for _ in range(draft.line_count)])
    column_buffer.add_columns(first_sequence, columns, ids)
    for wanted, found in zip(buffer.lines(), column_buffer.lines(), strict=True):
        assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("read", [read_drafts, of_main])
def test_a_value_date_that_is_none_is_told_with_its_place(
    read: Callable[[Sequence[pb.NewEntry]], object],
) -> None:
    good = _entry("FEE", date(2026, 1, 15), ("", ""), {}, [])
    wrong = pb.NewEntry(value_date=date_pb2.Date(year=2026, month=2, day=30))
    told = r"entries\[2\].value_date: 2026-2-30 is no calendar date"
    with pytest.raises(InvalidArgument, match=told):
        read([good, good, wrong])
