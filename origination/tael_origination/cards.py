"""Bound cards: the number sealed, the provider's token in its place."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from tael.origination.v1 import customer_pb2
from tael_origination.masking import mask_card
from tael_origination.tables import card
from tael_runtime.crypto import Cipher

CARD_NUMBER = "card_number"
"""Kind of blind index."""


def bind(
    transaction: Connection,
    cipher: Cipher,
    customer_id: str,
    card_number: str,
    token: str,
    bank: str,
    at: datetime,
) -> None:
    """Binds a card; nothing where it is bound already."""
    transaction.execute(
        insert(card)
        .values(
            customer_id=customer_id,
            card_token=token,
            card_number=cipher.seal_text(card_number),
            number_index=cipher.blind_index(CARD_NUMBER, card_number),
            bank=bank,
            bound_at=at,
        )
        .on_conflict_do_nothing()
    )


def by_number(
    transaction: Connection, cipher: Cipher, customer_id: str, card_number: str
) -> customer_pb2.BoundCard:
    """The bound card of this number, masked."""
    row = transaction.execute(
        select(card).where(
            card.c.customer_id == customer_id,
            card.c.number_index == cipher.blind_index(CARD_NUMBER, card_number),
        )
    ).one()
    return _masked(cipher, row)


def bound(
    transaction: Connection, cipher: Cipher, customer_id: str
) -> list[customer_pb2.BoundCard]:
    """A customer's cards, masked, oldest first."""
    rows = transaction.execute(
        select(card).where(card.c.customer_id == customer_id).order_by(card.c.bound_at)
    )
    return [_masked(cipher, row) for row in rows]


def _masked(cipher: Cipher, row: Row[Any]) -> customer_pb2.BoundCard:
    number = cipher.open_text(bytes(row.card_number))
    return customer_pb2.BoundCard(
        card_token=row.card_token, masked_number=mask_card(number), bank=row.bank
    )
