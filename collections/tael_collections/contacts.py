"""The gate over the store: permits with atomic slots, their use, and what came of them.

Every answer of the gate is a row. The debtor's row is locked while slots are counted and taken, so
two callers can never take the last one; a number shared by two debtors is locked by its keyed hash.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, text, update

from tael_collections import days, promises
from tael_collections.cases import DebtCase
from tael_collections.contact_rules import ZONE, Allow, CaseFacts, Channel, Counts, Deny, decide
from tael_collections.outcomes import Result
from tael_collections.parameters import house_parameters
from tael_collections.reasons import Reason
from tael_collections.tables import contact, debtor, promise
from tael_runtime.errors import FailedPrecondition, NotFound
from tael_runtime.idempotency import current_caller
from tael_runtime.ids import new_id

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Contact:
    """A contact, made or refused; the token only where the gate allowed it."""

    contact_id: str
    customer_id: str
    case_id: str | None
    channel: Channel
    at: datetime
    actor: str
    allowed: bool
    denied_reason: str
    denied_detail: str
    token: str | None
    expires_at: datetime | None
    used_at: datetime | None
    connected: bool | None
    result: Result
    reported_by: str
    content: str
    recording: str

    @property
    def ended(self) -> bool:
        """Whether the carrier told how it ended."""
        return self.connected is not None or bool(self.result)


COLUMNS = [contact.c[name] for name in Contact.__dataclass_fields__]


def listed(transaction: Connection, *conditions: ColumnElement[bool]) -> list[Contact]:
    """Contacts that meet the conditions, oldest first."""
    query = select(*COLUMNS).where(*conditions).order_by(contact.c.number)
    return [
        Contact(**{**row, "channel": Channel(row["channel"]), "result": Result(row["result"])})
        for row in transaction.execute(query).mappings()
    ]


def get(transaction: Connection, contact_id: str) -> Contact:
    """A contact; NotFound where there is none."""
    found = listed(transaction, contact.c.contact_id == contact_id)
    if not found:
        raise NotFound("contact", contact_id)
    return found[0]


def by_token(transaction: Connection, token: str) -> Contact:
    """The contact a token permits; FailedPrecondition TOKEN_UNKNOWN where there is none."""
    found = listed(transaction, contact.c.token == token)
    if not found:
        raise FailedPrecondition(Reason.TOKEN_UNKNOWN, "no permit has this token")
    return found[0]


def permit(
    transaction: Connection,
    customer_id: str,
    case: DebtCase | None,
    book_id: str,
    channel: Channel,
    now: datetime,
) -> tuple[Contact, Allow | Deny]:
    """Asks the gate for a locked debtor, takes the slots where it allows, stores the answer."""
    answer = _ask(transaction, customer_id, case, book_id, channel, now)
    values: dict[str, Any] = {
        "contact_id": new_id("ct"),
        "customer_id": customer_id,
        "case_id": case.case_id if case else None,
        "channel": channel,
        "at": now,
        "day": _day(now),
        "actor": current_caller(),
        "allowed": isinstance(answer, Allow),
    }
    if isinstance(answer, Allow):
        values |= {"token": secrets.token_urlsafe(24), "expires_at": answer.expires_at}
    else:
        values |= {"denied_reason": answer.reason.name, "denied_detail": answer.detail}
    transaction.execute(insert(contact).values(**values))
    return get(transaction, values["contact_id"]), answer


def authorise(
    transaction: Connection,
    permitted: Contact,
    case: DebtCase | None,
    book_id: str,
    number_index: bytes,
    now: datetime,
) -> None:
    """Checks a permit again at the moment of sending, its own slots left out of the count.

    Remembers the number's keyed hash with the debtor and the contact. Raises FailedPrecondition
    with TOKEN_EXPIRED or the gate's reason.
    """
    if permitted.expires_at is None or now >= permitted.expires_at:
        raise FailedPrecondition(
            Reason.TOKEN_EXPIRED, f"the permit held until {permitted.expires_at}"
        )
    transaction.execute(
        update(debtor)
        .where(debtor.c.customer_id == permitted.customer_id)
        .values(number_index=number_index)
    )
    transaction.execute(
        update(contact)
        .where(contact.c.contact_id == permitted.contact_id)
        .values(number_index=number_index)
    )
    answer = _ask(
        transaction,
        permitted.customer_id,
        case,
        book_id,
        permitted.channel,
        now,
        leave_out=permitted.contact_id,
    )
    if isinstance(answer, Deny):
        raise FailedPrecondition(answer.reason, answer.detail)


def mark_used(transaction: Connection, contact_id: str, content: str, now: datetime) -> None:
    """The permit is spent on this content; what came of it is reported later, or never."""
    transaction.execute(
        update(contact)
        .where(contact.c.contact_id == contact_id)
        .values(used_at=now, content=content)
    )


def report(
    transaction: Connection,
    contact_id: str,
    result: Result,
    connected: bool | None,
    recording: str = "",
    reported_by: str = "",
) -> Contact:
    """Writes how a contact ended; a call that did not connect gives its connected slot back."""
    values: dict[str, Any] = {"result": result, "connected": connected, "reported_by": reported_by}
    if recording:
        values["recording"] = recording
    transaction.execute(update(contact).where(contact.c.contact_id == contact_id).values(**values))
    return get(transaction, contact_id)


def record_outcome(transaction: Connection, contact_id: str, result: Result) -> Contact:
    """What a person reports of a call, once; the carrier's word on the connection stands.

    So a call that the carrier connected keeps its slot whatever is reported, and one that it did
    not connect cannot be reported as a conversation.
    """
    made = get(transaction, contact_id)
    if made.used_at is None:
        raise FailedPrecondition(Reason.CONTACT_NOT_MADE, "the call was not placed", contact_id)
    if made.reported_by:
        raise FailedPrecondition(
            Reason.OUTCOME_RECORDED, f"{made.result.name} by {made.reported_by}", contact_id
        )
    if made.connected is False and result.connected:
        raise FailedPrecondition(
            Reason.OUTCOME_CONTRADICTED, f"the carrier says {made.result.name}", contact_id
        )
    connected = result.connected if made.connected is None else made.connected
    return report(transaction, contact_id, result, connected, reported_by=current_caller())


def _day(now: datetime) -> date:
    return now.astimezone(ZONE).date()


def _ask(
    transaction: Connection,
    customer_id: str,
    case: DebtCase | None,
    book_id: str,
    channel: Channel,
    now: datetime,
    leave_out: str = "",
) -> Allow | Deny:
    facts = _facts(transaction, case, book_id)
    counts = _counts(transaction, customer_id, now, leave_out)
    return decide(now, channel, facts, counts, house_parameters())


def _facts(transaction: Connection, case: DebtCase | None, book_id: str) -> CaseFacts:
    today = days.business_date(transaction, book_id)
    if case is None:
        return CaseFacts(today)
    until = transaction.execute(
        select(func.max(promise.c.due_date)).where(
            promise.c.case_id == case.case_id, promise.c.state == promises.OPEN
        )
    ).scalar()
    return CaseFacts(today, case.closed_on is not None, case.hold_until, until)


def _counts(transaction: Connection, customer_id: str, now: datetime, leave_out: str) -> Counts:
    """The debtor's slots taken; dials also by number, whoever has it.

    A permit for a call counts whether it was used or not; a text that was never handed over counts
    until its permit is over, since nothing else can send it.
    """
    day = _day(now)
    number = transaction.execute(
        select(debtor.c.number_index).where(debtor.c.customer_id == customer_id)
    ).scalar_one()
    mine = contact.c.customer_id == customer_id
    dialled: ColumnElement[bool] = mine
    if number is not None:
        key = int.from_bytes(bytes(number)[:8], "big", signed=True)
        transaction.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        dialled = mine | (contact.c.number_index == number)
    is_text = contact.c.channel == Channel.SMS
    sent = contact.c.used_at.is_not(None) | (contact.c.expires_at > now)
    today = contact.c.day == day
    query = select(
        _count(mine, today, ~is_text, contact.c.connected.is_distinct_from(False)),
        _count(dialled, today, ~is_text),
        _count(mine, today, is_text, sent),
        _count(mine, is_text, sent),
    ).where(
        contact.c.allowed,
        contact.c.contact_id != leave_out,
        contact.c.day > day - WEEK,
        contact.c.day <= day,
        dialled,
    )
    return Counts(*transaction.execute(query).one())


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(and_(*conditions))
