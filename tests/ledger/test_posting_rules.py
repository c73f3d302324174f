"""Posting rules and drafts, pure: resolution, validation, netting, balance under any rules."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from tael_ledger.books import Book
from tael_ledger.chart import default_chart
from tael_ledger.columns import Chunk, Header, RecordedColumns
from tael_ledger.drafts import Draft, Event, Terms, account_number, drafts_of, net
from tael_ledger.journal import RequestKey
from tael_ledger.posting_rules import (
    PostingRule,
    RuleAccount,
    RuleKey,
    RulePosting,
    RuleSet,
    check,
    default_rules,
)
from tael_ledger.requests import Desk
from tael_runtime.errors import InvalidArgument, TaelError

CHART = default_chart()
TERMS = Terms("BANK", "NONE")
DAY = date(2026, 1, 15)
BOOK = Book("b", "Demo", "CNY", "Asia/Shanghai", "BANK", "NONE", DAY, 1)


def rule(debit: str, credit: str, *, step: int = 1, **key: str) -> PostingRule:
    """A rule of one posting, for event E and amount a."""
    posting = RulePosting(step, RuleAccount.parse(debit), RuleAccount.parse(credit))
    return PostingRule(RuleKey(**{"event": "E", "amount_type": "a", **key}), (posting,))


def refused(rules: list[PostingRule]) -> str:
    """Why a set of rules is refused."""
    with pytest.raises(TaelError) as refusal:
        check(rules, CHART)
    return refusal.value.reason.name


def test_the_default_rules_fit_the_default_chart() -> None:
    check(default_rules(), CHART)


def test_the_rule_that_names_the_most_keys_wins() -> None:
    rules = RuleSet(
        1,
        [
            rule("1001", "6011.01"),
            rule("1002", "6011.01", lender_type="BANK"),
            rule("1003", "6011.01", product="P", lender_type="BANK"),
        ],
    )
    found = rules.resolve(RuleKey("E", "a", "P", "", "BANK", "NONE"))
    assert found is not None
    assert str(found.postings[0].debit) == "1003"
    other = rules.resolve(RuleKey("E", "a", "Q", "", "BANK", "NONE"))
    assert other is not None
    assert str(other.postings[0].debit) == "1002"
    assert rules.resolve(RuleKey("E", "b")) is None


def test_of_two_rules_that_name_as_many_keys_the_earlier_key_wins() -> None:
    rules = RuleSet(
        1,
        [rule("1001", "6011.01", vat_mode="NONE"), rule("1002", "6011.01", product="P")],
    )
    found = rules.resolve(RuleKey("E", "a", "P", "", "BANK", "NONE"))
    assert found is not None
    assert str(found.postings[0].debit) == "1002"


def test_a_rule_with_an_unknown_code_is_refused() -> None:
    assert refused([rule("9999", "6011.01")]) == "UNKNOWN_GL_CODE"


def test_two_rules_with_one_key_are_refused() -> None:
    assert refused([rule("1001", "6011.01"), rule("1002", "6011.01")]) == "DUPLICATE_POSTING_RULE"


def test_a_posting_from_a_memo_to_a_balance_account_is_refused() -> None:
    assert refused([rule("7001[LOAN]", "6011.01")]) == "MEMO_MIXED_WITH_BALANCE"


def test_an_event_without_the_owner_its_rule_needs_names_the_field() -> None:
    event = Event("E", DAY, [("a", 1)], owners={"LOAN": "L"})
    with pytest.raises(InvalidArgument, match=r"events\[0\].owners"):
        drafts_of([event], RuleSet(1, [rule("1132.01[LINE]", "6011.01")]), TERMS)


@pytest.mark.parametrize(
    ("debit", "credit", "netted"),
    [
        (5, 3, (2, 0)),
        (3, 5, (0, 2)),
        (-5, -3, (-2, 0)),
        (-18, -323, (0, -305)),
        (4, 4, (0, 0)),
        (0, -7, (0, -7)),
    ],
)
def test_lines_on_one_account_net_to_the_side_that_moves_more(
    debit: int, credit: int, netted: tuple[int, int]
) -> None:
    assert net(debit, credit) == netted


BALANCE_CODES = [code for code, gl in CHART.items() if not gl.is_memo][:12]
MEMO_CODES = [code for code, gl in CHART.items() if gl.is_memo]
OWNER_TYPES = ("", "LOAN")


@st.composite
def postings(draw: st.DrawFn) -> RulePosting:
    codes = draw(st.sampled_from([BALANCE_CODES, MEMO_CODES]))
    account = st.builds(RuleAccount, st.sampled_from(codes), st.sampled_from(OWNER_TYPES))
    return RulePosting(draw(st.integers(1, 3)), draw(account), draw(account))


rule_sets = st.dictionaries(
    st.sampled_from("abcd"), st.lists(postings(), min_size=1, max_size=5), min_size=1
).map(lambda found: [PostingRule(RuleKey("E", a), tuple(p)) for a, p in found.items()])
amounts = st.integers(-(9 * 10**14), 9 * 10**14)


def totals(drafts: list[Draft]) -> dict[str, int]:
    """Debits less credits by account."""
    found: dict[str, int] = defaultdict(int)
    for draft in drafts:
        for number, debit, credit in draft.lines:
            found[number] += debit - credit
    return {number: total for number, total in found.items() if total}


def expected_totals(rules: list[PostingRule], events: list[Event]) -> dict[str, int]:
    """The same, straight from the rules: no steps, no netting, no lines."""
    found: dict[str, int] = defaultdict(int)
    for event in events:
        for amount_type, amount in event.amounts:
            for one in rules:
                if one.key.amount_type != amount_type:
                    continue
                for posting in one.postings:
                    for account, sign in ((posting.debit, 1), (posting.credit, -1)):
                        owner = event.owners["LOAN"] if account.owner_type else ""
                        number = account_number(account.gl_code, account.owner_type, owner)
                        found[number] += sign * amount
    return {number: total for number, total in found.items() if total}


def assert_balanced(draft: Draft) -> None:
    """On and off balance apart; one line an account; no empty line."""
    assert draft.lines
    assert len({line.account_number for line in draft.lines}) == len(draft.lines)
    for is_memo in (False, True):
        own = [
            line
            for line in draft.lines
            if CHART[line.account_number.partition(":")[0]].is_memo is is_memo
        ]
        assert sum(line.debit for line in own) == sum(line.credit for line in own)
    assert all((line.debit == 0) != (line.credit == 0) for line in draft.lines)


@given(rule_sets, st.lists(st.tuples(st.sampled_from("LMN"), amounts, amounts), max_size=6))
def test_any_valid_rules_turn_any_events_into_balanced_entries_with_the_right_totals(
    rules: list[PostingRule], rows: list[tuple[str, int, int]]
) -> None:
    check(rules, CHART)
    names = [one.key.amount_type for one in rules]
    events = [
        Event("E", DAY, list(zip(names, row[1:], strict=False)), {"LOAN": row[0]}) for row in rows
    ]
    drafts = drafts_of(events, RuleSet(1, rules), TERMS)
    for draft in drafts:
        assert_balanced(draft)
    assert totals(drafts) == expected_totals(rules, events)


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
    columns = RecordedColumns(RequestKey("r", "c", "i"), b"", header, chunks)
    drafts = columns.drafts(Desk(cast("Connection", None), BOOK, RuleSet(1, rules)))
    for draft in drafts:
        assert_balanced(draft)
    assert totals(drafts) == totals(drafts_of(events, RuleSet(1, rules), TERMS))
