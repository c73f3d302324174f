"""request_id: the same id and content give the same answer for ever; nothing is done twice.

The key is (rpc, caller, request_id). The row is written in the transaction of the effect, so a
rolled-back attempt leaves nothing and a concurrent duplicate waits for the first one's outcome.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from tael_client import context as call_context
from tael_runtime import later
from tael_runtime.crypto import Cipher
from tael_runtime.database import Database
from tael_runtime.errors import AlreadyExists, Reason
from tael_runtime.tables import request as requests

ResponseT = TypeVar("ResponseT", bound=Message)

Effect = Callable[[Connection, Message], None]
_with_it: ContextVar[Effect | None] = ContextVar("tael_with_it", default=None)

UNNAMED = "system"
"""The caller where none is named: another service, or whoever loopback trusts."""


def content_hash(message: Message) -> bytes:
    """SHA-256 over a canonical form: fields by number, defaults and request_id left out."""
    digest = hashlib.sha256()
    _feed(digest.update, message, top=True)
    return digest.digest()


def _feed(write: Callable[[bytes], None], message: Message, *, top: bool = False) -> None:
    write(b"{")
    for field, value in message.ListFields():
        if top and field.name == "request_id":
            continue
        write(b"%d:" % field.number)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in sorted(value, key=repr):
                write(f"{key!r}=".encode())
                _value(write, field.message_type.fields_by_name["value"], value[key])
        elif field.is_repeated:
            write(b"[%d]" % len(value))
            for item in value:
                _value(write, field, item)
        else:
            _value(write, field, value)
    write(b"}")


def _value(write: Callable[[bytes], None], field: FieldDescriptor, value: Any) -> None:
    if field.message_type is not None:
        _feed(write, value)
        return
    raw = value if isinstance(value, bytes) else str(value).encode()
    write(b"%d=" % len(raw))
    write(raw)


def current_caller() -> str:
    """The authenticated caller of the rpc under way; "system" outside one."""
    call = call_context.current()
    return (call.caller if call else "") or UNNAMED


def once(
    database: Database,
    rpc: str,
    request: Message,
    response_type: type[ResponseT],
    work: Callable[[Connection], ResponseT],
    *,
    seal: bool = False,
) -> ResponseT:
    """Runs `work` in one transaction with its request row, or answers as the first time.

    rpc: the method's name, "GrantCreditLine". seal: the answer holds personal data and is kept
    encrypted. Raises AlreadyExists REQUEST_ID_REUSED when the id came with other content before.
    """
    with database.begin() as transaction:
        kept = claim(transaction, database.cipher, rpc, request)
        if kept is not None:
            return response_type.FromString(database.cipher.open(kept) if seal else kept)
        response = work(transaction)
        if effect := _with_it.get():
            effect(transaction, response)
        raw = response.SerializeToString()
        keep(transaction, rpc, request, database.cipher.seal(raw) if seal else raw)
        return response


@contextmanager
def together_with(effect: Effect) -> Iterator[None]:
    """What `once` does within this, it does in one transaction with `effect`, which sees the answer:
    both or neither, and neither again.
    """
    token = _with_it.set(effect)
    try:
        yield
    finally:
        _with_it.reset(token)


def find(
    database: Database,
    rpc: str,
    request: Any,
    response_type: type[ResponseT],
    *,
    seal: bool = False,
) -> ResponseT | None:
    """The answer kept of this request, as `once` would give it; None when it is new."""
    with database.read() as connection:
        kept = _kept(connection, database.cipher, rpc, request)
    if kept is None:
        return None
    return response_type.FromString(database.cipher.open(kept) if seal else kept)


CLAIM = insert(requests).on_conflict_do_nothing()


def claim(transaction: Connection, cipher: Cipher, rpc: str, request: Any) -> bytes | None:
    """None when this request is new and now ours; else the answer kept (b"" where none was).

    The content's hash is keyed: it may cover phones and identity numbers (DOMAIN.md §7.1, trap 15).
    """
    row = {**_key(rpc, request), "content_hash": _digest(cipher, request)}
    if transaction.execute(CLAIM, row).rowcount:
        return None
    return _kept(transaction, cipher, rpc, request)


def _key(rpc: str, request: Any) -> dict[str, str]:
    return {"rpc": rpc, "caller": current_caller(), "request_id": request.request_id}


def _digest(cipher: Cipher, request: Any) -> bytes:
    return cipher.blind_index("request", content_hash(request).hex())


def _kept(connection: Connection, cipher: Cipher, rpc: str, request: Any) -> bytes | None:
    row = connection.execute(
        select(requests.c.content_hash, requests.c.response).where(
            *(requests.c[name] == value for name, value in _key(rpc, request).items())
        )
    ).one_or_none()
    if row is None:
        return None
    if bytes(row.content_hash) != _digest(cipher, request):
        raise AlreadyExists(
            Reason.REQUEST_ID_REUSED,
            f"request_id {request.request_id!r} was used for {rpc} with other content",
        )
    return bytes(row.response or b"")


def keep(transaction: Connection, rpc: str, request: Any, response: bytes) -> None:
    """Keeps the answer of a claimed request."""
    row = {"of": rpc, "by": current_caller(), "id": request.request_id, "response": response}
    later.write(transaction, KEEP, row)


KEEP = (
    update(requests)
    .where(
        requests.c.rpc == bindparam("of"),
        requests.c.caller == bindparam("by"),
        requests.c.request_id == bindparam("id"),
    )
    .values(response=bindparam("response"))
)
