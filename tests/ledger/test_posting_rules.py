"""Posting rules and drafts, pure: resolution, validation, netting, balance under any rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.rule_cases import (
    CHART,
    DAY,
    TERMS,
    amounts,
    assert_balanced,
    expected_totals,
    rule_sets,
    totals,
)

from tael_ledger.drafts import Event, drafts_of, net
from tael_ledger.posting_rules import (
    PostingRule,
    RuleAccount,
    RuleKey,
    RulePosting,
    RuleSet,
    check,
)
from tael_runtime.errors import InvalidArgument, TaelError


def rule(debit: str, credit: str, *, step: int = 1, **key: str) -> PostingRule:
    """A rule of one posting, for event E and amount a."""
    posting = RulePosting(step, RuleAccount.parse(debit), RuleAccount.parse(credit))
    return PostingRule(RuleKey(**{"event": "E", "amount_type": "a", **key}), (posting,))


def refused(rules: list[PostingRule]) -> str:
    """Why a set of rules is refused."""
    with pytest.raises(TaelError) as refusal:
        check(rules, CHART)
    return refusal.value.reason.name


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


def test_a_posting_that_moves_nothing_is_refused() -> None:
    assert refused([rule("1001", "1001")]) == "INVALID_FIELD"
    check([rule("1132.01[LOAN]", "1132.01[LINE]")], CHART)


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
