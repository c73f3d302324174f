"""From events to lines, by the posting rules as they are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from ledger.simulation.state import Entry, Line, State

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb

KEYS = ("product", "accrual_status", "lender_type", "vat_mode")


def rule_for(
    state: State, event: str, amount_type: str, product: str, accrual_status: int
) -> ac.PostingRule | None:
    """The rule with the most keys given among those that match, then with the earlier key."""
    case = {
        "product": product,
        "accrual_status": accrual_status,
        "lender_type": state.book.lender_type,
        "vat_mode": state.book.vat_mode,
    }
    fitting = [
        rule
        for rule in state.rules_in_force().rules
        if (rule.event, rule.amount_type) == (event, amount_type)
        and all(not getattr(rule, key) or getattr(rule, key) == case[key] for key in KEYS)
    ]
    return max(fitting, key=_rank, default=None)


def _rank(rule: ac.PostingRule) -> tuple[int, ...]:
    given = [bool(getattr(rule, key)) for key in KEYS]
    return (sum(given), *given)


def number_of(account: ac.RuleAccount, owners: Mapping[str, str]) -> str:
    """ "1303.01:LOAN:L1"; KeyError where the owner is not given."""
    if not account.owner_type:
        return account.gl_code
    return f"{account.gl_code}:{account.owner_type}:{owners[account.owner_type]}"


def net_lines(sums: Mapping[str, Sequence[int]]) -> tuple[Line, ...]:
    """One line an account, on the side that moves it more; none where nothing is left."""
    lines = []
    for number, (debit, credit) in sums.items():
        if debit == credit:
            continue
        on_debit = abs(debit) >= abs(credit)
        lines.append(
            Line(number, debit - credit if on_debit else 0, 0 if on_debit else credit - debit)
        )
    return tuple(lines)


def drafts_of(state: State, event: pb.BusinessEvent, value_date: date) -> list[Entry] | set[str]:
    """An entry a step that moves anything, or the reasons why there is none."""
    owners = {owner.owner_type: owner.owner_id for owner in event.owners}
    steps: dict[int, dict[str, list[int]]] = {}
    reasons = set()
    for amount in event.amounts:
        if not amount.minor_units:
            continue
        rule = rule_for(state, event.event, amount.amount_type, event.product, event.accrual_status)
        if rule is None:
            reasons.add("NO_POSTING_RULE")
            continue
        for posting in rule.postings:
            sums = steps.setdefault(posting.step, {})
            for side, account in enumerate((posting.debit, posting.credit)):
                try:
                    number = number_of(account, owners)
                except KeyError:
                    reasons.add("INVALID_FIELD")
                else:
                    sums.setdefault(number, [0, 0])[side] += amount.minor_units
    if reasons:
        return reasons
    return [
        Entry(
            event.event,
            value_date,
            lines,
            event.source,
            event.narrative,
            state.rules_in_force().version,
            metadata=dict(event.metadata),
        )
        for _, sums in sorted(steps.items())
        if (lines := net_lines(sums))
    ]


def column_drafts(
    state: State, header: pb.EventColumnsHeader, chunk: pb.EventColumnsChunk, value_date: date
) -> list[Entry] | set[str]:
    """A compound entry a step: each owner's own lines netted, the book's own over all owners."""
    steps: dict[int, dict[str, list[int]]] = {}
    for amount_type, column in zip(header.amount_types, chunk.columns, strict=True):
        if not any(column.minor_units):
            continue
        rule = rule_for(state, header.event, amount_type, header.product, header.accrual_status)
        if rule is None:
            return {"NO_POSTING_RULE"}
        for posting in rule.postings:
            sums = steps.setdefault(posting.step, {})
            for side, account in enumerate((posting.debit, posting.credit)):
                if account.owner_type not in ("", header.owner_type):
                    return {"INVALID_FIELD"}
                for owner_id, amount in zip(chunk.owner_ids, column.minor_units, strict=True):
                    number = number_of(account, {header.owner_type: owner_id})
                    sums.setdefault(number, [0, 0])[side] += amount
    return [
        Entry(
            header.event,
            value_date,
            lines,
            header.source,
            rules_version=state.rules_in_force().version,
        )
        for _, sums in sorted(steps.items())
        if (lines := net_lines(sums))
    ]


def line_of(line: pb.PostingLine) -> Line:
    """A posting line as the oracle keeps it."""
    debit = line.amount if line.side == pb.SIDE_DEBIT else 0
    return Line(line.account_number, debit, line.amount - debit)


def imbalance(state: State, lines: Sequence[Line]) -> set[str]:
    """Reasons against lines whose debits and credits differ, on and off balance apart."""
    known = [line for line in lines if line.number.split(":", maxsplit=1)[0] in state.chart]
    if len(known) < len(lines):
        return {"UNKNOWN_GL_CODE", "UNBALANCED_ENTRY", "MEMO_MIXED_WITH_BALANCE"}
    memo = [line for line in lines if state.is_memo(line.number)]
    if not any(
        sum(line.debit - line.credit for line in lines if state.is_memo(line.number) == side)
        for side in (False, True)
    ):
        return set()
    mixed = 0 < len(memo) < len(lines)
    return {"UNBALANCED_ENTRY"} | ({"MEMO_MIXED_WITH_BALANCE"} if mixed else set())
