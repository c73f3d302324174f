"""Lines gathered in columns, and exact sums over them."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tael_ledger.drafts import Draft, Line, LineColumns
from tael_ledger.line_buffer import LineBuffer, exact, sums_by
from tael_ledger.rows import EPOCH
from tael_ledger.tables import TURNOVER_LIMIT

amount = st.one_of(st.integers(-100, 100), st.integers(-TURNOVER_LIMIT, TURNOVER_LIMIT))
few_keys = st.integers(-3, 3)


@given(st.lists(st.tuples(few_keys, amount, amount)))
def test_sums_by_key_are_exact_and_in_order(rows: list[tuple[int, int, int]]) -> None:
    keys, debits, credits_ = (
        np.array([row[place] for row in rows], dtype=np.int64) for place in range(3)
    )
    found = sums_by(keys, debits, credits_)
    wanted = sorted({key for key, _, _ in rows})
    assert found.keys.tolist() == wanted
    assert found.debits.tolist() == [sum(d for k, d, _ in rows if k == key) for key in wanted]
    assert found.credits.tolist() == [sum(c for k, _, c in rows if k == key) for key in wanted]
    counts = Counter(key for key, _, _ in rows)
    assert found.counts.tolist() == [counts[key] for key in wanted]


@given(st.lists(amount))
def test_exact_amounts_add_up_as_python_adds_them(amounts: list[int]) -> None:
    assert int(exact(np.array(amounts, dtype=np.int64)).sum()) == sum(amounts)


day_number = st.integers(-10_000, 20_000)
entry_lines = st.lists(st.tuples(st.integers(1, 9), st.integers(-9, 9)), min_size=1, max_size=5)


@given(st.lists(st.tuples(day_number, entry_lines, st.booleans())))
def test_lines_come_out_in_the_order_in_which_entries_went_in(
    entries: list[tuple[int, list[tuple[int, int]], bool]],
) -> None:
    buffer = LineBuffer()
    expected = []
    for sequence, (worth, lines, columnar) in enumerate(entries, 1):
        ids = [account_id for account_id, _ in lines]
        numbers = [str(one) for one in ids]
        amounts = [one for _, one in lines]
        content = (
            LineColumns(
                numbers, np.array(amounts, dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
            )
            if columnar
            else [Line(number, one, 0) for number, one in zip(numbers, amounts, strict=True)]
        )
        buffer.add(sequence, Draft("E", _day(worth), "", "", content), ids)
        expected += [
            (sequence, number, account_id, worth, one, 0)
            for number, (account_id, one) in enumerate(lines, 1)
        ]
    found = buffer.lines()
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def _day(number: int) -> date:
    return EPOCH + timedelta(days=number)
