"""Posting rules: which accounts an amount of a business event moves. Versioned data. Pure.

A rule is keyed by event and amount type, and may name product, accrual status, lender type and VAT
mode; a key not named matches anything, and the rule that names the most wins (of two that name as
many, the one that names the earlier in that order). It posts pairs of one debit and one credit of
the amount, so it balances by construction.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tael_ledger.chart import Chart
from tael_ledger.reasons import Reason
from tael_runtime.errors import InvalidArgument

ACCOUNT = re.compile(r"(?P<code>[0-9.]+)(?:\[(?P<owner>[A-Z_]+)\])?")


@dataclass(frozen=True)
class RuleAccount:
    """An account as a rule names it."""

    gl_code: str
    owner_type: str = ""
    """LOAN, CUSTOMER, …; empty = the book's own account."""

    @classmethod
    def parse(cls, text: str) -> RuleAccount:
        """ "1303.01[LOAN]" or "1003"."""
        found = ACCOUNT.fullmatch(text)
        assert found is not None, text
        return cls(found["code"], found["owner"] or "")

    def __str__(self) -> str:
        return f"{self.gl_code}[{self.owner_type}]" if self.owner_type else self.gl_code


@dataclass(frozen=True)
class RulePosting:
    """One debit and one credit of the same amount."""

    step: int
    """Steps become entries of their own, in order."""
    debit: RuleAccount
    credit: RuleAccount


@dataclass(frozen=True)
class RuleKey:
    """When a rule applies; "" in the last four = whatever it is."""

    event: str
    amount_type: str
    product: str = ""
    accrual_status: str = ""
    lender_type: str = ""
    vat_mode: str = ""

    def rank(self) -> tuple[int, ...]:
        """How specific: the number of keys named, then which."""
        named = [
            bool(key)
            for key in (self.product, self.accrual_status, self.lender_type, self.vat_mode)
        ]
        return (sum(named), *named)

    def matches(self, case: RuleKey) -> bool:
        """Whether a case, which names everything it has, falls under this key."""
        return (
            self.product in ("", case.product)
            and self.accrual_status in ("", case.accrual_status)
            and self.lender_type in ("", case.lender_type)
            and self.vat_mode in ("", case.vat_mode)
        )


@dataclass(frozen=True)
class PostingRule:
    """What one amount type of one event moves."""

    key: RuleKey
    postings: tuple[RulePosting, ...]


class RuleSet:
    """One version of a book's rules, ready to be asked."""

    def __init__(self, version: int, rules: Iterable[PostingRule]) -> None:
        self.version = version
        self._found: dict[RuleKey, PostingRule | None] = {}
        self._by_amount: dict[tuple[str, str], list[PostingRule]] = {}
        for rule in sorted(rules, key=lambda r: r.key.rank(), reverse=True):
            name = (rule.key.event, rule.key.amount_type)
            self._by_amount.setdefault(name, []).append(rule)

    def resolve(self, case: RuleKey) -> PostingRule | None:
        """The most specific rule for a case, None where there is none."""
        if case not in self._found:
            candidates = self._by_amount.get((case.event, case.amount_type), [])
            rule = next((r for r in candidates if r.key.matches(case)), None)
            if len(self._found) > 10_000:  # products are the callers' to name: stay bounded
                self._found.clear()
            self._found[case] = rule
        return self._found[case]

    def missing(self) -> list[PostingRule]:
        """Those of `default_rules` whose cases it has no rule for."""
        return [rule for rule in default_rules() if self.resolve(rule.key) is None]


def check(rules: Sequence[PostingRule], chart: Chart) -> None:
    """Refuses a set that could not be posted.

    Raises InvalidArgument with the rule's place: UNKNOWN_GL_CODE, DUPLICATE_POSTING_RULE,
    MEMO_MIXED_WITH_BALANCE; without a reason of its own where a posting moves nothing.
    """
    places: dict[RuleKey, int] = {}
    for place, rule in enumerate(rules):
        if rule.key in places:
            raise InvalidArgument(
                f"rules[{place}]",
                f"has the same key as rules[{places[rule.key]}]; give each key once",
                Reason.DUPLICATE_POSTING_RULE,
            )
        places[rule.key] = place
        for number, posting in enumerate(rule.postings):
            _check_posting(f"rules[{place}].postings[{number}]", posting, chart)


def _check_posting(field: str, posting: RulePosting, chart: Chart) -> None:
    for side, account in (("debit", posting.debit), ("credit", posting.credit)):
        if account.gl_code not in chart:
            raise InvalidArgument(
                f"{field}.{side}.gl_code",
                f"{account.gl_code!r} is not in the chart of accounts",
                Reason.UNKNOWN_GL_CODE,
            )
    if posting.debit == posting.credit:
        raise InvalidArgument(field, f"debits and credits {posting.debit}, which moves nothing")
    if chart[posting.debit.gl_code].is_memo != chart[posting.credit.gl_code].is_memo:
        raise InvalidArgument(
            field,
            f"pairs {posting.debit} with {posting.credit}; a memo account goes with a memo account",
            Reason.MEMO_MIXED_WITH_BALANCE,
        )


@cache
def default_rules() -> tuple[PostingRule, ...]:
    """Version 1 of a new book: data/posting_rules.csv, a posting a row."""
    file = resources.files("tael_ledger") / "data" / "posting_rules.csv"
    postings: dict[RuleKey, list[RulePosting]] = {}
    with file.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            debit = RuleAccount.parse(row.pop("debit"))
            credit = RuleAccount.parse(row.pop("credit"))
            posting = RulePosting(int(row.pop("step")), debit, credit)
            postings.setdefault(RuleKey(**row), []).append(posting)
    return tuple(PostingRule(key, tuple(pairs)) for key, pairs in postings.items())
