"""Any posting rules that are valid, and what must hold of the entries they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from hypothesis import strategies as st

from tael_ledger.chart import default_chart
from tael_ledger.drafts import Draft, Event, Line, LineColumns, Terms, account_number
from tael_ledger.posting_rules import PostingRule, RuleAccount, RuleKey, RulePosting

CHART = default_chart()
TERMS = Terms("BANK", "NONE")
DAY = date(2026, 1, 15)

BALANCE_CODES = [code for code, gl in CHART.items() if not gl.is_memo][:12]
MEMO_CODES = [code for code, gl in CHART.items() if gl.is_memo]
OWNER_TYPES = ("", "LOAN")


@st.composite
def postings(draw: st.DrawFn) -> RulePosting:
    codes = draw(st.sampled_from([BALANCE_CODES, MEMO_CODES]))
    account = st.builds(RuleAccount, st.sampled_from(codes), st.sampled_from(OWNER_TYPES))
    debit = draw(account)
    credit = draw(account.filter(lambda other: other != debit))
    return RulePosting(draw(st.integers(1, 3)), debit, credit)


rule_sets = st.dictionaries(
    st.sampled_from("abcd"), st.lists(postings(), min_size=1, max_size=5), min_size=1
).map(lambda found: [PostingRule(RuleKey("E", a), tuple(p)) for a, p in found.items()])
amounts = st.integers(-(9 * 10**14), 9 * 10**14)


def lines_of(draft: Draft) -> Sequence[Line]:
    """A draft's lines one by one."""
    if not isinstance(draft.lines, LineColumns):
        return draft.lines
    numbers, debits, credits_ = draft.lines
    return list(map(Line, numbers, debits.tolist(), credits_.tolist()))


def totals(drafts: list[Draft]) -> dict[str, int]:
    """Debits less credits by account."""
    found: dict[str, int] = defaultdict(int)
    for draft in drafts:
        for number, debit, credit in lines_of(draft):
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
    lines = lines_of(draft)
    assert lines
    assert len({line.account_number for line in lines}) == len(lines)
    for is_memo in (False, True):
        own = [
            line
            for line in lines
            if CHART[line.account_number.partition(":")[0]].is_memo is is_memo
        ]
        assert sum(line.debit for line in own) == sum(line.credit for line in own)
    assert all((line.debit == 0) != (line.credit == 0) for line in lines)
