"""Whose a card is: of whom its four elements agreed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from tael_runtime.database import Database
from tael_simulators.tables import card_holder


def keep(database: Database, card_token: str, holder_id: str) -> None:
    """The card is theirs, and whoever else's it was before."""
    row = {"card_token": card_token, "holder_id": holder_id}
    with database.begin() as transaction:
        transaction.execute(insert(card_holder).values(row).on_conflict_do_nothing())


def outcome(database: Database, card_token: str, holder_id: str) -> str:
    """MATCH or MISMATCH; a card whose elements nobody had checked is whoever's it is said to be."""
    of_card = select(card_holder.c.holder_id).where(card_holder.c.card_token == card_token)
    with database.read() as connection:
        holders = connection.execute(of_card).scalars().all()
    return "MATCH" if holder_id in holders or not holders else "MISMATCH"
