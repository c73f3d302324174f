"""From business events to entries not yet posted, through the posting rules. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tael_ledger.posting_rules import PostingRule, RuleAccount, RuleKey, RuleSet
from tael_ledger.reasons import Reason
from tael_runtime.errors import FailedPrecondition, InvalidArgument

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Event:
    """Something that happened, in the words of the business."""

    event: str
    value_date: date
    amounts: Sequence[tuple[str, int]]
    """(amount type, minor units); negative posts in red ink, zero is passed over."""
    owners: Mapping[str, str]
    """Owner ids by owner type."""
    product: str = ""
    accrual_status: str = ""
    source: str = ""
    narrative: str = ""
    metadata: str = ""
    """As `facts_text` gives it."""


@dataclass(frozen=True)
class Terms:
    """What of a book its posting rules may depend on."""

    lender_type: str
    vat_mode: str


class Line(NamedTuple):
    """One line: exactly one of debit and credit is not zero; negative in red ink. Minor units."""

    account_number: str
    debit: int
    credit: int


class LineColumns(NamedTuple):
    """Many lines, in columns of equal length."""

    account_numbers: Sequence[str]
    debits: Integers
    credits: Integers


class Draft(NamedTuple):
    """An entry before it has a place in the journal."""

    event: str
    value_date: date
    source: str
    narrative: str
    lines: Sequence[Line] | LineColumns
    rules_version: int = 0
    """0 = posted on named accounts, by no rule."""
    reversal_of: int = 0
    """The sequence of the entry it reverses; 0 = none."""
    metadata: str = ""
    """As `facts_text` gives it."""

    @property
    def line_count(self) -> int:
        """How many lines."""
        lines = self.lines
        return len(lines.debits) if isinstance(lines, LineColumns) else len(lines)


def facts_text(facts: Mapping[str, str]) -> str:
    """Searchable facts as the journal keeps them: JSON, keys in order; empty where there are none."""
    if not facts:
        return ""
    return json.dumps(dict(facts), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read_facts(text: str) -> dict[str, str]:
    """The inverse of `facts_text`."""
    return dict(json.loads(text)) if text else {}


def account_number(gl_code: str, owner_type: str = "", owner_id: str = "") -> str:
    """ "1303.01:LOAN:L1", or "1003" for an account of the book itself."""
    return f"{gl_code}:{owner_type}:{owner_id}" if owner_type else gl_code


def drafts_of(events: Sequence[Event], rules: RuleSet, terms: Terms) -> list[Draft]:
    """The entries of some events, in order: one an event and step that moves anything.

    Raises FailedPrecondition NO_POSTING_RULE; InvalidArgument where an owner that a rule needs is
    not given.
    """
    return [
        draft
        for place, event in enumerate(events)
        for draft in _event_drafts(f"events[{place}]", event, rules, terms)
    ]


def resolve(rules: RuleSet, case: RuleKey, subject: str) -> PostingRule:
    """The rule for a case. Raises FailedPrecondition NO_POSTING_RULE about the subject."""
    rule = rules.resolve(case)
    if rule is None:
        named = ", ".join(
            f"{key} {value}"
            for key, value in (
                ("product", case.product),
                ("accrual status", case.accrual_status),
                ("lender type", case.lender_type),
                ("VAT mode", case.vat_mode),
            )
            if value
        )
        raise FailedPrecondition(
            Reason.NO_POSTING_RULE,
            f"version {rules.version} has no rule for {case.event}.{case.amount_type} ({named})",
            subject,
        )
    return rule


def _event_drafts(field: str, event: Event, rules: RuleSet, terms: Terms) -> list[Draft]:
    steps: dict[int, dict[str, list[int]]] = {}
    for amount_type, amount in event.amounts:
        if amount == 0:
            continue
        case = RuleKey(
            event.event,
            amount_type,
            event.product,
            event.accrual_status,
            terms.lender_type,
            terms.vat_mode,
        )
        for posting in resolve(rules, case, field).postings:
            accounts = steps.setdefault(posting.step, {})
            accounts.setdefault(_number(field, posting.debit, event), [0, 0])[0] += amount
            accounts.setdefault(_number(field, posting.credit, event), [0, 0])[1] += amount
    drafts = []
    for _, accounts in sorted(steps.items()):
        lines = net_lines(accounts)
        if lines:
            drafts.append(
                Draft(
                    event.event,
                    event.value_date,
                    event.source,
                    event.narrative,
                    lines,
                    rules.version,
                    metadata=event.metadata,
                )
            )
    return drafts


def _number(field: str, account: RuleAccount, event: Event) -> str:
    if not account.owner_type:
        return account.gl_code
    owner_id = event.owners.get(account.owner_type)
    if owner_id is None:
        raise InvalidArgument(
            f"{field}.owners",
            f"{event.event} moves {account}: name the event's {account.owner_type}",
        )
    return account_number(account.gl_code, account.owner_type, owner_id)


def net(debit: int, credit: int) -> tuple[int, int]:
    """One account's debits and credits as one line, on the side that moves it more.

    Red ink stays on its side: a negative credit nets to a negative credit.
    """
    return (debit - credit, 0) if abs(debit) >= abs(credit) else (0, credit - debit)


def net_lines(accounts: Mapping[str, Sequence[int]]) -> list[Line]:
    """One line an account, zero lines dropped, debits first."""
    lines = [Line(number, *net(debit, credit)) for number, (debit, credit) in accounts.items()]
    moved = [line for line in lines if line.debit or line.credit]
    return sorted(moved, key=lambda line: line.debit == 0)
