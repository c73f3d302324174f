"""Six-digit codes sent to a phone: ten minutes, five tries, five a day, each used once.

A code is the keyed hash of its random id: as random as one drawn, nothing of it is stored, and a
text that must be sent again after a crash says the same.
"""

from __future__ import annotations

import hmac
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from tael_origination import customers
from tael_origination.reasons import Reason
from tael_origination.tables import phone_code
from tael_runtime.crypto import Cipher
from tael_runtime.errors import FailedPrecondition, ResourceExhausted
from tael_runtime.ids import new_id

LIFETIME = timedelta(minutes=10)
TRIES = 5
A_DAY = 5


def code_of(cipher: Cipher, code_id: str) -> str:
    """Six digits."""
    return f"{int.from_bytes(cipher.blind_index('phone_code', code_id)) % 1_000_000:06d}"


def issue(transaction: Connection, customer_id: str, day: date, at: datetime) -> str:
    """A new code's id; it replaces the one before. Raises ResourceExhausted TOO_MANY_CODES."""
    customers.lock(transaction, customer_id)
    query = (
        select(func.count())
        .select_from(phone_code)
        .where(phone_code.c.customer_id == customer_id, phone_code.c.day == day)
    )
    if transaction.execute(query).scalar_one() >= A_DAY:
        raise ResourceExhausted(Reason.TOO_MANY_CODES, f"{A_DAY} codes were sent on {day}")
    code_id = new_id("pc")
    transaction.execute(
        insert(phone_code).values(
            code_id=code_id, customer_id=customer_id, day=day, expires_at=at + LIFETIME
        )
    )
    return code_id


def expiry(transaction: Connection, code_id: str) -> datetime:
    """Until when a code may be used."""
    query = select(phone_code.c.expires_at).where(phone_code.c.code_id == code_id)
    expires_at: datetime = transaction.execute(query).scalar_one()
    return expires_at


def spend(
    transaction: Connection, cipher: Cipher, customer_id: str, code: str, at: datetime
) -> str | None:
    """Uses up the newest code: its id where `code` is right, None where it is wrong.

    A wrong code costs a try, so the caller commits either way and refuses afterwards
    (`refuse_wrong`). Raises FailedPrecondition NO_CODE, CODE_EXPIRED, CODE_SPENT.
    """
    open_code = _newest(transaction, customer_id)
    if open_code is None or open_code.used_at is not None:
        raise FailedPrecondition(Reason.NO_CODE, "no code is open; send one", customer_id)
    if at > open_code.expires_at:
        raise FailedPrecondition(
            Reason.CODE_EXPIRED, f"the code ended at {open_code.expires_at}", customer_id
        )
    if open_code.tries >= TRIES:
        raise FailedPrecondition(
            Reason.CODE_SPENT, f"the code was tried {TRIES} times", customer_id
        )
    right = hmac.compare_digest(code_of(cipher, open_code.code_id), code)
    change = {"used_at": at} if right else {"tries": open_code.tries + 1}
    transaction.execute(
        update(phone_code).where(phone_code.c.code_id == open_code.code_id).values(change)
    )
    return str(open_code.code_id) if right else None


def refuse_wrong(customer_id: str) -> FailedPrecondition:
    """The refusal of a wrong code."""
    return FailedPrecondition(Reason.WRONG_CODE, "the code is not the one sent", customer_id)


def _newest(transaction: Connection, customer_id: str) -> Row[Any] | None:
    return transaction.execute(
        select(phone_code)
        .where(phone_code.c.customer_id == customer_id)
        .order_by(phone_code.c.number.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
