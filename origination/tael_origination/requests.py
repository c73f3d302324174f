"""What a request made, remembered by its id, so that the same request leads to the same thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from tael_runtime.database import Database
from tael_runtime.idempotency import claim, keep

WRONG_CODE = "wrong code"
"""What a request leaves whose code was wrong: the try is spent, and repeating it spends no other."""


def made_before(database: Database, rpc: str, request: Any) -> str | None:
    """What this very request made earlier; None where it is new. Claims nothing.

    For those who must ask others before they make anything, and not again when repeated.
    """
    with database.engine.connect() as connection:
        kept = claim(connection, database.cipher, rpc, request)
        connection.rollback()
    return None if kept is None else kept.decode()


def made_once(database: Database, rpc: str, request: Any, make: Callable[[Connection], str]) -> str:
    """The id of what `make` makes in the request's own transaction; the same id ever after.

    What goes on from there (a provider asked, another service called) starts again from the record
    under that id. Raises AlreadyExists REQUEST_ID_REUSED when the id came with other content.
    """
    with database.begin() as transaction:
        kept = claim(transaction, database.cipher, rpc, request)
        if kept is not None:
            return kept.decode()
        made = make(transaction)
        keep(transaction, rpc, request, made.encode())
        return made
