"""Columns of an event against the same event one by one, pure."""

from __future__ import annotations

from typing import cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from ledger.rule_cases import DAY, TERMS, amounts, assert_balanced, rule_sets, totals
from sqlalchemy import Connection

from tael_ledger.books import Book
from tael_ledger.columns import Chunk, Header, RecordedColumns
from tael_ledger.drafts import Event, drafts_of
from tael_ledger.journal import RequestKey
from tael_ledger.posting_rules import PostingRule, RuleSet
from tael_ledger.requests import Desk

BOOK = Book("b", "Demo", "CNY", "Asia/Shanghai", "BANK", "NONE", "REVERSAL", DAY, DAY, 1)


@given(
    rule_sets,
    st.lists(st.tuples(amounts, amounts), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_columns_come_to_the_same_totals_as_their_events_one_by_one(
    rules: list[PostingRule], rows: list[tuple[int, int]], chunk_size: int
) -> None:
    names = [one.key.amount_type for one in rules][:2]
    owners = [f"L{place}" for place in range(len(rows))]
    events = [
        Event("E", DAY, list(zip(names, row, strict=False)), {"LOAN": owner})
        for owner, row in zip(owners, rows, strict=True)
    ]
    chunks = [
        Chunk(
            owners[start : start + chunk_size],
            [
                np.array([row[n] for row in rows[start : start + chunk_size]], dtype=np.int64)
                for n in range(len(names))
            ],
        )
        for start in range(0, len(rows), chunk_size)
    ]
    header = Header("E", DAY, "", "", "LOAN", names, "")
    columns = RecordedColumns(header, chunks, key=RequestKey("r", "c", "i"), content_hash=b"")
    desk = Desk(cast("Connection", None), BOOK, {}, RuleSet(1, rules), iter(()))
    drafts = columns.plan(desk).drafts
    for draft in drafts:
        assert_balanced(draft)
    assert totals(drafts) == totals(drafts_of(events, RuleSet(1, rules), TERMS))
