"""Versions of a book's posting rules: proposed by one person, approved by another, then in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, insert, select, update

from tael_ledger.posting_rules import PostingRule, RuleAccount, RuleKey, RulePosting, RuleSet
from tael_ledger.reasons import Reason
from tael_ledger.tables import book as books
from tael_ledger.tables import posting_rule, posting_rules_version
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.four_eyes import check_second_person

PROPOSED, APPROVED = "PROPOSED", "APPROVED"
DEFAULTS = "tael-defaults"
"""Maker of version 1; who opens the book checks it."""


@dataclass(frozen=True)
class RulesVersion:
    """One version, without its rules."""

    version: int
    state: str
    effective_from: date
    maker: str
    checker: str
    description: str


def seed(
    transaction: Connection,
    book_id: str,
    effective_from: date,
    rules: Sequence[PostingRule],
    checker: str,
) -> None:
    """Version 1, in force from the book's first day."""
    version = RulesVersion(
        1, APPROVED, effective_from, DEFAULTS, checker, "Default rules of a new book"
    )
    _insert(transaction, book_id, version, rules)


def propose(
    transaction: Connection,
    book_id: str,
    effective_from: date,
    rules: Sequence[PostingRule],
    maker: str,
    description: str,
) -> RulesVersion:
    """The next version, waiting for its checker. The book is locked by the caller."""
    newest = transaction.execute(
        select(func.max(posting_rules_version.c.version)).where(
            posting_rules_version.c.book_id == book_id
        )
    ).scalar_one()
    version = RulesVersion(newest + 1, PROPOSED, effective_from, maker, "", description)
    _insert(transaction, book_id, version, rules)
    return version


def approve(
    transaction: Connection, book_id: str, number: int, business_date: date, checker: str
) -> RulesVersion:
    """The checker's word. The book is locked by the caller.

    Raises NotFound; PermissionDenied MAKER_IS_CHECKER; FailedPrecondition RULES_NOT_PROPOSED or,
    where the day it was to take effect has been closed meanwhile, EFFECTIVE_DATE_PASSED.
    """
    version = get(transaction, book_id, number)
    if version.state != PROPOSED:
        raise FailedPrecondition(
            Reason.RULES_NOT_PROPOSED, f"version {number} was approved by {version.checker}"
        )
    check_second_person(version.maker, checker)
    check_effective(version.effective_from, business_date)
    transaction.execute(
        update(posting_rules_version)
        .where(
            posting_rules_version.c.book_id == book_id, posting_rules_version.c.version == number
        )
        .values(state=APPROVED, checker=checker)
    )
    put_in_force(transaction, book_id, business_date)
    return get(transaction, book_id, number)


def check_effective(effective_from: date, business_date: date) -> None:
    """Raises FailedPrecondition EFFECTIVE_DATE_PASSED."""
    if effective_from < business_date:
        raise FailedPrecondition(
            Reason.EFFECTIVE_DATE_PASSED,
            f"{effective_from} is closed; the business date is {business_date}",
        )


def put_in_force(transaction: Connection, book_id: str, business_date: date) -> None:
    """Points the book at the version that serves its business date: the newest approved one."""
    serving = select(posting_rules_version.c.version).where(
        posting_rules_version.c.book_id == book_id,
        posting_rules_version.c.state == APPROVED,
        posting_rules_version.c.effective_from <= business_date,
    )
    latest = serving.order_by(
        posting_rules_version.c.effective_from.desc(), posting_rules_version.c.version.desc()
    ).limit(1)
    transaction.execute(
        update(books)
        .where(books.c.book_id == book_id)
        .values(rules_version=latest.scalar_subquery())
    )


def get(connection: Connection, book_id: str, number: int) -> RulesVersion:
    """One version. Raises NotFound."""
    found = [v for v in versions(connection, book_id) if v.version == number]
    if not found:
        raise NotFound("posting rules version", str(number))
    return found[0]


def versions(connection: Connection, book_id: str) -> list[RulesVersion]:
    """Every version, newest first."""
    table = posting_rules_version
    rows = connection.execute(
        select(
            table.c.version,
            table.c.state,
            table.c.effective_from,
            table.c.maker,
            table.c.checker,
            table.c.description,
        )
        .where(table.c.book_id == book_id)
        .order_by(table.c.version.desc())
    )
    return [RulesVersion(*row) for row in rows]


def rules(connection: Connection, book_id: str, version: int) -> list[PostingRule]:
    """The rules of a version, by event, amount type and place."""
    table = posting_rule
    rows = connection.execute(
        select(table)
        .where(table.c.book_id == book_id, table.c.version == version)
        .order_by(table.c.event, table.c.amount_type, table.c.rule, table.c.posting)
    )
    found: dict[RuleKey, list[RulePosting]] = {}
    for row in rows:
        key = RuleKey(
            row.event,
            row.amount_type,
            row.product,
            row.accrual_status,
            row.lender_type,
            row.vat_mode,
        )
        posting = RulePosting(
            row.step,
            RuleAccount(row.debit_gl_code, row.debit_owner_type),
            RuleAccount(row.credit_gl_code, row.credit_owner_type),
        )
        found.setdefault(key, []).append(posting)
    return [PostingRule(key, tuple(postings)) for key, postings in found.items()]


def rule_set(connection: Connection, book_id: str, version: int) -> RuleSet:
    """A version ready to be asked."""
    return RuleSet(version, rules(connection, book_id, version))


def _insert(
    transaction: Connection, book_id: str, version: RulesVersion, rules: Sequence[PostingRule]
) -> None:
    transaction.execute(insert(posting_rules_version).values(book_id=book_id, **version.__dict__))
    rows = [
        {
            "book_id": book_id,
            "version": version.version,
            "rule": place,
            "posting": number,
            **rule.key.__dict__,
            "step": posting.step,
            "debit_gl_code": posting.debit.gl_code,
            "debit_owner_type": posting.debit.owner_type,
            "credit_gl_code": posting.credit.gl_code,
            "credit_owner_type": posting.credit.owner_type,
        }
        for place, rule in enumerate(rules)
        for number, posting in enumerate(rule.postings)
    ]
    transaction.execute(insert(posting_rule), rows)
