"""The rules and the chart of a new book, as data: complete, worked, balanced, switched right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.rule_cases import CHART, DAY, assert_balanced
from ledger.worked_entries import worked_entries

from tael_ledger.documentation import NOT_POSTED, STAGES, event_meanings
from tael_ledger.drafts import Event, Terms, drafts_of
from tael_ledger.posting_rules import (
    PostingRule,
    RuleAccount,
    RuleKey,
    RulePosting,
    RuleSet,
    check,
    default_rules,
)

RULES = {rule.key: rule for rule in default_rules()}
RULE_SET = RuleSet(1, RULES.values())
LENDER_TYPES = ("BANK", "CONSUMER_FINANCE", "MICROLOAN")
VAT_MODES = ("NONE", "SPLIT", "EXEMPT")
ACCRUAL_STATUSES = ("ACCRUAL", "NON_ACCRUAL")
OF_VAT = {code for code in CHART if code.startswith("2221") or code == "1221.03"}
DEPOSIT = RuleAccount("2011.01", "CUSTOMER")
AT_A_BANK = {
    RuleAccount("1002"): RuleAccount("1003"),
    RuleAccount("2241.04", "CUSTOMER"): DEPOSIT,
    RuleAccount("2241.01", "LOAN"): DEPOSIT,
}
"""What a lender without deposits has → what a bank has for it."""


def moved(rule: PostingRule) -> set[RuleAccount]:
    """The accounts of a rule."""
    return {account for each in rule.postings for account in (each.debit, each.credit)}


def at_a_bank(posting: RulePosting) -> RulePosting:
    """The posting with a bank's accounts."""
    return replace(
        posting,
        debit=AT_A_BANK.get(posting.debit, posting.debit),
        credit=AT_A_BANK.get(posting.credit, posting.credit),
    )


def resolved(lender_type: str, vat_mode: str) -> dict[RuleKey, PostingRule]:
    """Every case that has a rule, in one kind of book."""
    names = sorted({(key.event, key.amount_type) for key in RULES})
    cases = [RuleKey(*name, "", status) for name in names for status in ACCRUAL_STATUSES]
    found = {
        case: RULE_SET.resolve(replace(case, lender_type=lender_type, vat_mode=vat_mode))
        for case in cases
    }
    return {case: rule for case, rule in found.items() if rule is not None}


def test_the_rules_fit_the_chart() -> None:
    check(list(RULES.values()), CHART)


def test_every_rule_has_a_worked_entry() -> None:
    worked = {
        RULE_SET.resolve(
            RuleKey(entry.event, name, "", entry.accrual_status, entry.lender_type, entry.vat_mode)
        )
        for entry in worked_entries()
        for name in entry.amounts
    }
    assert [str(key) for key, rule in RULES.items() if rule not in worked] == []


def test_every_account_is_moved_by_a_rule_or_is_documented_as_not() -> None:
    used = {account.gl_code for rule in RULES.values() for account in moved(rule)}
    assert set(CHART) - used == set(NOT_POSTED)


def test_every_event_fits_a_request() -> None:
    for event in {key.event for key in RULES}:
        own = [rule for key, rule in RULES.items() if key.event == event]
        assert len({rule.key.amount_type for rule in own}) <= 32
        assert len({account.owner_type for rule in own for account in moved(rule)}) <= 8


def test_every_event_has_a_meaning_and_a_stage() -> None:
    meanings = event_meanings()
    assert [row.event for row in meanings] == list(dict.fromkeys(key.event for key in RULES))
    assert list(dict.fromkeys(row.stage for row in meanings)) == list(STAGES)


@pytest.mark.parametrize("vat_mode", VAT_MODES)
def test_a_consumer_finance_company_and_a_micro_lender_have_the_same_rules(vat_mode: str) -> None:
    assert resolved("CONSUMER_FINANCE", vat_mode) == resolved("MICROLOAN", vat_mode)


@pytest.mark.parametrize("vat_mode", VAT_MODES)
def test_a_bank_has_the_same_rules_on_its_own_funding_accounts(vat_mode: str) -> None:
    elsewhere = resolved("CONSUMER_FINANCE", vat_mode)
    at_bank = resolved("BANK", vat_mode)
    assert elsewhere.keys() <= at_bank.keys()
    for case, rule in elsewhere.items():
        assert at_bank[case].postings == tuple(at_a_bank(each) for each in rule.postings)
    deposits = {case.amount_type for case in at_bank.keys() - elsewhere.keys()}
    assert deposits == {"funds_deposit", "funds_merchant"}


@pytest.mark.parametrize("lender_type", LENDER_TYPES)
def test_no_lender_moves_the_funding_accounts_of_another(lender_type: str) -> None:
    foreign = {"1002", "2241.01"} if lender_type == "BANK" else {"1003", "2011.01", "2011.02"}
    used = {
        account.gl_code
        for rule in resolved(lender_type, "SPLIT").values()
        for account in moved(rule)
    }
    assert not used & foreign


@pytest.mark.parametrize("lender_type", LENDER_TYPES)
def test_vat_accounts_are_moved_where_vat_is_split_and_nowhere_else(lender_type: str) -> None:
    none, split, exempt = (resolved(lender_type, vat_mode) for vat_mode in VAT_MODES)
    assert none == exempt
    assert none.items() <= split.items()
    assert not {account.gl_code for rule in none.values() for account in moved(rule)} & OF_VAT


def test_an_amount_of_vat_says_so_in_its_name() -> None:
    own_events = {"VAT_TRANSFERRED_OUT", "VAT_PAID", "SURTAX_ACCRUED", "SURTAX_PAID"}
    for key in RULES:
        if key.event not in own_events:
            assert ("vat" in key.amount_type.split("_")) == (key.vat_mode == "SPLIT"), key


RESOLVED = {
    (lender_type, vat_mode): list(resolved(lender_type, vat_mode))
    for lender_type in LENDER_TYPES
    for vat_mode in VAT_MODES
}


@st.composite
def happenings(draw: st.DrawFn) -> tuple[Event, Terms]:
    """Any event, with some of the amounts it has rules for, of any sign, in any kind of book."""
    terms = Terms(draw(st.sampled_from(LENDER_TYPES)), draw(st.sampled_from(VAT_MODES)))
    status = draw(st.sampled_from(ACCRUAL_STATUSES))
    cases = [
        case
        for case in RESOLVED[terms.lender_type, terms.vat_mode]
        if case.accrual_status == status
    ]
    event = draw(st.sampled_from(sorted({case.event for case in cases})))
    names = sorted(case.amount_type for case in cases if case.event == event)
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    amounts = [(name, draw(st.integers(-(10**12), 10**12))) for name in chosen]
    owner_types = {account.owner_type for rule in RULES.values() for account in moved(rule)}
    owners = dict.fromkeys(owner_types, "1")
    return Event(event, DAY, amounts, owners, accrual_status=status), terms


@given(happenings())
def test_any_amounts_of_any_event_in_any_book_make_balanced_entries(
    happening: tuple[Event, Terms],
) -> None:
    event, terms = happening
    for draft in drafts_of([event], RULE_SET, terms):
        assert_balanced(draft)
