"""Between the contract's messages and the ledger's own values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from google.type import date_pb2

from tael.ledger.v1 import accounting_pb2, ledger_pb2
from tael_client.values import from_date, from_instant
from tael_ledger.accounts import Account
from tael_ledger.books import Book
from tael_ledger.chart import DEBIT, Chart, GlAccount
from tael_ledger.closing import Head
from tael_ledger.drafts import Event, Line, facts_text, read_facts
from tael_ledger.journal import TOLD_LINES, Anchor, Entry, Origin
from tael_ledger.limits import Limits, limits_of
from tael_ledger.posting_rules import PostingRule, RuleAccount, RuleKey, RulePosting
from tael_ledger.proposals import Proposal
from tael_ledger.rules_store import RulesVersion
from tael_ledger.statements import StatementLine
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_date

DEFAULT_PAGE = 100
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Of the days that a book begins on and that something is worth: what lies beyond is a slip of the
hand.
"""


def _lender(value: str) -> ledger_pb2.LenderType.ValueType:
    return ledger_pb2.LenderType.Value(f"LENDER_TYPE_{value or 'UNSPECIFIED'}")


def _vat(value: str) -> ledger_pb2.VatMode.ValueType:
    return ledger_pb2.VatMode.Value(f"VAT_MODE_{value or 'UNSPECIFIED'}")


def _status(value: str) -> ledger_pb2.AccrualStatus.ValueType:
    return ledger_pb2.AccrualStatus.Value(f"ACCRUAL_STATUS_{value or 'UNSPECIFIED'}")


def _side(value: str) -> ledger_pb2.Side.ValueType:
    return ledger_pb2.SIDE_DEBIT if value == DEBIT else ledger_pb2.SIDE_CREDIT


def _given(name: str, prefix: str) -> str:
    """The name of an enum's value without its prefix; "" for unspecified."""
    return name.removeprefix(prefix).replace("UNSPECIFIED", "")


def lender_type(value: ledger_pb2.LenderType.ValueType) -> str:
    """BANK, …; "" where not given."""
    return _given(ledger_pb2.LenderType.Name(value), "LENDER_TYPE_")


def vat_mode(value: ledger_pb2.VatMode.ValueType) -> str:
    """NONE, …; "" where not given."""
    return _given(ledger_pb2.VatMode.Name(value), "VAT_MODE_")


def non_accrual_policy(value: ledger_pb2.NonAccrualPolicy.ValueType) -> str:
    """REVERSAL, …; "" where not given."""
    return _given(ledger_pb2.NonAccrualPolicy.Name(value), "NON_ACCRUAL_POLICY_")


def accrual_status(value: ledger_pb2.AccrualStatus.ValueType) -> str:
    """ACCRUAL, …; "" where not given."""
    return _given(ledger_pb2.AccrualStatus.Name(value), "ACCRUAL_STATUS_")


def book(value: Book) -> ledger_pb2.Book:
    """A book as the contract has it."""
    return ledger_pb2.Book(
        book_id=value.book_id,
        legal_entity=value.legal_entity,
        currency_code=value.currency_code,
        time_zone=value.time_zone,
        lender_type=_lender(value.lender_type),
        vat_mode=_vat(value.vat_mode),
        non_accrual_policy=ledger_pb2.NonAccrualPolicy.Value(
            f"NON_ACCRUAL_POLICY_{value.non_accrual_policy}"
        ),
        business_date=from_date(value.business_date),
    )


def account(value: Account, chart: Chart) -> ledger_pb2.Account:
    """An account with its balance."""
    gl = chart[value.gl_code]
    return ledger_pb2.Account(
        account_number=value.number,
        gl_code=value.gl_code,
        name=gl.full_name,
        owner_type=value.owner_type,
        owner_id=value.owner_id,
        account_class=ledger_pb2.AccountClass.Value(f"ACCOUNT_CLASS_{gl.account_class}"),
        normal_side=_side(gl.normal_side),
        debits_posted=value.debits_posted,
        credits_posted=value.credits_posted,
        balance=gl.balance(value.debits_posted, value.credits_posted),
        debits_pending=value.debits_pending,
        credits_pending=value.credits_pending,
        state=ledger_pb2.AccountState.Value(f"ACCOUNT_STATE_{value.state}"),
        limits=_limits(limits_of(value.bounds, gl.normal_side)),
        lines_posted=value.lines_posted,
    )


def _limits(value: Limits) -> ledger_pb2.AccountLimits:
    return ledger_pb2.AccountLimits(
        no_debit_balance=value.no_debit_balance,
        no_credit_balance=value.no_credit_balance,
        floor=value.floor,
    )


def read_limits(limits: ledger_pb2.AccountLimits) -> Limits:
    """Limits as asked for; none where the message is empty."""
    return Limits(
        limits.no_debit_balance,
        limits.no_credit_balance,
        limits.floor if limits.HasField("floor") else None,
    )


def gl_account(value: GlAccount) -> accounting_pb2.GlAccount:
    """A row of the chart."""
    return accounting_pb2.GlAccount(
        code=value.code,
        name=value.name,
        english_name=value.english_name,
        account_class=ledger_pb2.AccountClass.Value(f"ACCOUNT_CLASS_{value.account_class}"),
        normal_side=_side(value.normal_side),
    )


def read_day(field: str, value: date_pb2.Date) -> date:
    """A day of the books. Raises InvalidArgument where it is none, or in a year beyond them."""
    day = read_date(field, value)
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidArgument(field, f"is {day}; a year from {FIRST_YEAR} to {LAST_YEAR}")
    return day


def read_events(events: Iterable[ledger_pb2.BusinessEvent]) -> list[Event]:
    """Events as asked for. Raises InvalidArgument where an owner type or amount type comes twice."""
    return [_event(f"events[{place}]", event) for place, event in enumerate(events)]


def _event(field: str, event: ledger_pb2.BusinessEvent) -> Event:
    owners = {owner.owner_type: owner.owner_id for owner in event.owners}
    if len(owners) < len(event.owners):
        raise InvalidArgument(f"{field}.owners", "names an owner type twice; one a type")
    amounts = {amount.amount_type: amount.minor_units for amount in event.amounts}
    if len(amounts) < len(event.amounts):
        raise InvalidArgument(f"{field}.amounts", "names an amount type twice; add them up")
    return Event(
        event=event.event,
        value_date=read_day(f"{field}.value_date", event.value_date),
        amounts=list(amounts.items()),
        owners=owners,
        product=event.product,
        accrual_status=accrual_status(event.accrual_status),
        source=event.source,
        narrative=event.narrative,
        metadata=facts_text(event.metadata),
    )


def entry(value: Entry, chart: Chart) -> ledger_pb2.Entry:
    """A voucher with its accounts' names; without its lines where they are more than are told."""
    told = value.lines if value.line_count <= TOLD_LINES else ()
    return ledger_pb2.Entry(
        book_id=value.book_id,
        sequence=value.sequence,
        event=value.event,
        value_date=from_date(value.value_date),
        booking_date=from_date(value.booking_date),
        source=value.source,
        narrative=value.narrative,
        lines=[_line(line, chart) for line in told],
        reversal_of=value.reversal_of,
        reversed_by=value.reversed_by,
        rules_version=value.rules_version,
        metadata=read_facts(value.metadata),
    )


def _line(value: Line, chart: Chart) -> ledger_pb2.Line:
    return ledger_pb2.Line(
        account_number=value.account_number,
        account_name=chart[value.account_number.partition(":")[0]].full_name,
        side=ledger_pb2.SIDE_DEBIT if value.debit else ledger_pb2.SIDE_CREDIT,
        amount=value.debit or value.credit,
    )


def statement_line(value: StatementLine) -> ledger_pb2.StatementLine:
    """A line of an account's statement."""
    return ledger_pb2.StatementLine(
        sequence=value.sequence,
        event=value.event,
        value_date=from_date(value.value_date),
        booking_date=from_date(value.booking_date),
        side=ledger_pb2.SIDE_DEBIT if value.debit else ledger_pb2.SIDE_CREDIT,
        amount=value.debit or value.credit,
        balance_after=value.balance_after,
        narrative=value.narrative,
        source=value.source,
    )


def posting(value: Origin, approved: Proposal | None) -> ledger_pb2.Posting:
    """What posted an entry, and the proposal that it was where people moved it by hand."""
    return ledger_pb2.Posting(
        rpc=value.request.rpc,
        caller=value.request.caller,
        request_id=value.request.request_id,
        committed_at=from_instant(value.committed_at),
        approval=_approval(approved) if approved else None,
    )


def _approval(value: Proposal) -> ledger_pb2.Approval:
    return ledger_pb2.Approval(
        proposal_id=value.proposal_id,
        maker=value.maker,
        checker=value.decided_by,
        reason=value.reason,
    )


def anchor(value: Anchor) -> ledger_pb2.Anchor:
    """Where a posting stands in the chain."""
    return ledger_pb2.Anchor(sequence=value.sequence, digest=value.digest)


def head(value: Head) -> ledger_pb2.Head:
    """The chain's newest link."""
    return ledger_pb2.Head(
        sequence=value.sequence,
        digest=value.digest,
        committed_at=from_instant(value.committed_at) if value.committed_at else None,
    )


def read_rules(rules: Iterable[accounting_pb2.PostingRule]) -> list[PostingRule]:
    """Rules as proposed."""
    return [_read_rule(rule) for rule in rules]


def _read_rule(rule: accounting_pb2.PostingRule) -> PostingRule:
    key = RuleKey(
        rule.event,
        rule.amount_type,
        rule.product,
        accrual_status(rule.accrual_status),
        lender_type(rule.lender_type),
        vat_mode(rule.vat_mode),
    )
    postings = [
        RulePosting(
            posting.step,
            RuleAccount(posting.debit.gl_code, posting.debit.owner_type),
            RuleAccount(posting.credit.gl_code, posting.credit.owner_type),
        )
        for posting in rule.postings
    ]
    return PostingRule(key, tuple(postings))


def posting_rule(value: PostingRule) -> accounting_pb2.PostingRule:
    """A rule as the contract has it."""
    key = value.key
    return accounting_pb2.PostingRule(
        event=key.event,
        amount_type=key.amount_type,
        product=key.product,
        accrual_status=_status(key.accrual_status),
        lender_type=_lender(key.lender_type),
        vat_mode=_vat(key.vat_mode),
        postings=[
            accounting_pb2.RulePosting(
                step=posting.step,
                debit=_rule_account(posting.debit),
                credit=_rule_account(posting.credit),
            )
            for posting in value.postings
        ],
    )


def _rule_account(value: RuleAccount) -> accounting_pb2.RuleAccount:
    return accounting_pb2.RuleAccount(gl_code=value.gl_code, owner_type=value.owner_type)


def rules_version(value: RulesVersion) -> accounting_pb2.PostingRulesVersion:
    """A version without its rules."""
    return accounting_pb2.PostingRulesVersion(
        version=value.version,
        state=accounting_pb2.RulesState.Value(f"RULES_STATE_{value.state}"),
        effective_from=from_date(value.effective_from),
        maker=value.maker,
        checker=value.checker,
        description=value.description,
    )


def entries(values: Sequence[Entry], chart: Chart) -> list[ledger_pb2.Entry]:
    """Vouchers with their accounts' names."""
    return [entry(value, chart) for value in values]
