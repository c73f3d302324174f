"""The archive: documents filed once, sealed, with the hash of what was filed."""

from __future__ import annotations

import hashlib
from datetime import datetime

from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from tael.origination.v1 import contract_pb2
from tael_client.values import from_instant
from tael_origination.tables import document
from tael_runtime.crypto import Cipher
from tael_runtime.ids import new_id


def sha256(pdf: bytes) -> str:
    """Hex."""
    return hashlib.sha256(pdf).hexdigest()


def file(
    transaction: Connection,
    cipher: Cipher,
    customer_id: str,
    kind: str,
    subject_id: str,
    pdf: bytes,
    at: datetime,
) -> None:
    """Files a document; nothing where one of this kind is filed of the subject."""
    transaction.execute(
        insert(document)
        .values(
            document_id=new_id("dc"),
            customer_id=customer_id,
            type=kind,
            subject_id=subject_id,
            hash=sha256(pdf),
            size=len(pdf),
            content=cipher.seal(pdf),
            filed_at=at,
        )
        .on_conflict_do_nothing()
    )


def fetch(transaction: Connection, cipher: Cipher, kind: str, subject_id: str) -> bytes | None:
    """The filed bytes; None where they were tampered with or nothing is filed."""
    sealed = transaction.execute(
        select(document.c.content).where(
            document.c.type == kind, document.c.subject_id == subject_id
        )
    ).scalar()
    if sealed is None:
        return None
    try:
        return cipher.open(bytes(sealed))
    except (InvalidTag, ValueError):
        return None


def of_customer(transaction: Connection, customer_id: str) -> list[contract_pb2.ArchivedDocument]:
    """What is filed of a customer, oldest first."""
    rows = transaction.execute(
        select(
            document.c.document_id,
            document.c.type,
            document.c.subject_id,
            document.c.hash,
            document.c.size,
            document.c.filed_at,
        )
        .where(document.c.customer_id == customer_id)
        .order_by(document.c.number)
    )
    return [
        contract_pb2.ArchivedDocument(
            document_id=row.document_id,
            type=row.type,
            subject_id=row.subject_id,
            hash=row.hash,
            size=row.size,
            filed_at=from_instant(row.filed_at),
        )
        for row in rows
    ]
