"""What the outside world remembers, so that its restart forgets nothing.

Everything that arrives under an id its sender chose has the same first columns: its number in the
order of arrival, the id, a hash of what was sent under it, and how often.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from tael_runtime.tables import with_floor

own = MetaData()


def _arrival(sent_id: str) -> tuple[Column[Any], ...]:
    return (
        Column(sent_id, Text, primary_key=True),
        Column("number", BigInteger, Identity(), nullable=False, unique=True),
        Column("content_hash", LargeBinary, nullable=False),
        Column("times_sent", Integer, nullable=False, server_default="1"),
    )


script = Table(
    "script",
    own,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("method", Text, nullable=False),
    Column("key", Text, nullable=False, comment="empty = any"),
    Column("behaviour", LargeBinary, nullable=False, comment="tael.provider.v1.Behaviour"),
    Index("script_next", "method", "key", "number"),
    comment="behaviours not yet shown; a call deletes the one it shows",
)

payment = Table(
    "payment",
    own,
    *_arrival("payment_id"),
    Column("debit", Boolean, nullable=False),
    Column("card_token", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("minor_units", BigInteger, nullable=False),
    Column("date", Date, nullable=False),
    Column("failure_code", Text, nullable=False, comment="empty = the money moved"),
    Column("unknown_left", Integer, nullable=False, comment="UNKNOWN answers before the truth"),
    CheckConstraint("minor_units > 0", name="payment_is_positive"),
    CheckConstraint("unknown_left >= 0", name="unknown_left_is_a_count"),
)

card_holder = Table(
    "card_holder",
    own,
    Column("card_token", Text, primary_key=True),
    Column("holder_id", Text, primary_key=True, comment="the caller's own id of the person"),
    comment="whose a card is, as its four elements were checked",
)

text_message = Table(
    "text_message",
    own,
    *_arrival("message_id"),
    Column("mobile", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Index("text_message_phone", "mobile", "number"),
)

phone_call = Table(
    "phone_call",
    own,
    *_arrival("call_id"),
    Column("outcome", Integer, nullable=False, comment="tael.provider.v1.CallOutcome"),
    Column("seconds", Integer, nullable=False),
)

metadata = with_floor(own)
