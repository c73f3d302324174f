"""Customers: one an identity number, their personal data sealed; opened only here, answered masked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from tael.origination.v1 import customer_pb2
from tael_client.values import from_date
from tael_origination import cards, checks
from tael_origination.contract_pdf import Borrower
from tael_origination.identifiers import IdentityNumber
from tael_origination.masking import mask_identity_number, mask_mobile, mask_name
from tael_origination.reasons import Reason
from tael_origination.tables import contact_access, customer
from tael_runtime.crypto import Cipher
from tael_runtime.errors import AlreadyExists, NotFound
from tael_runtime.ids import new_id

ID_NUMBER, MOBILE = "id_number", "mobile"
"""Kinds of blind index."""


@dataclass(frozen=True)
class Person:
    """A customer in clear."""

    customer_id: str
    name: str = field(repr=False)
    id_number: str = field(repr=False)
    mobile: str = field(repr=False)
    monthly_income: int
    """Declared, minor units."""
    province: str = ""
    """Declared, two digits of GB/T 2260; "" where not told."""

    @property
    def borrower(self) -> Borrower:
        """As a contract names them."""
        return Borrower(self.name, self.id_number)

    @property
    def birth_date(self) -> date:
        """From the identity number, which was checked at registration."""
        return date.fromisoformat(self.id_number[6:14])


class CustomerFile:
    """The customers in the store."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def register(
        self,
        transaction: Connection,
        request: customer_pb2.RegisterPersonRequest,
        identity: IdentityNumber,
        at: datetime,
    ) -> str:
        """A new customer's id. Raises AlreadyExists CUSTOMER_EXISTS naming the one there is."""
        customer_id = new_id("cu")
        index = self._cipher.blind_index(ID_NUMBER, identity.text)
        inserted = transaction.execute(
            insert(customer)
            .values(
                customer_id=customer_id,
                name=self._cipher.seal_text(request.name),
                id_number=self._cipher.seal_text(identity.text),
                mobile=self._cipher.seal_text(request.mobile),
                id_index=index,
                mobile_index=self._cipher.blind_index(MOBILE, request.mobile),
                monthly_income=request.monthly_income,
                channel=request.channel,
                province=request.province,
                registered_at=at,
            )
            .on_conflict_do_nothing(index_elements=["id_index"])
        )
        if not inserted.rowcount:
            (existing,) = _found(transaction, customer.c.id_index == index)
            raise AlreadyExists(Reason.CUSTOMER_EXISTS, f"this person is customer {existing}")
        return customer_id

    def person(self, transaction: Connection, customer_id: str) -> Person:
        """The customer in clear, for those who must name them to the outside world."""
        row = _row(transaction, customer_id)
        return Person(
            customer_id=row.customer_id,
            name=self._cipher.open_text(bytes(row.name)),
            id_number=self._cipher.open_text(bytes(row.id_number)),
            mobile=self._cipher.open_text(bytes(row.mobile)),
            monthly_income=row.monthly_income,
            province=row.province,
        )

    def masked(self, transaction: Connection, customer_id: str) -> customer_pb2.Customer:
        """The customer as an answer or an event shows them."""
        person = self.person(transaction, customer_id)
        return customer_pb2.Customer(
            customer_id=customer_id,
            masked_name=mask_name(person.name),
            masked_id_number=mask_identity_number(person.id_number),
            masked_mobile=mask_mobile(person.mobile),
            birth_date=from_date(person.birth_date),
            verified=checks.status(transaction, customer_id),
            cards=cards.bound(transaction, self._cipher, customer_id),
            monthly_income=person.monthly_income,
        )

    def find_by_id_number(self, transaction: Connection, id_number: str) -> list[str]:
        """At most one id."""
        index = self._cipher.blind_index(ID_NUMBER, id_number.upper())
        return _found(transaction, customer.c.id_index == index)

    def find_by_mobile(self, transaction: Connection, mobile: str) -> list[str]:
        """Ids, oldest first: a phone may be shared."""
        return _found(
            transaction, customer.c.mobile_index == self._cipher.blind_index(MOBILE, mobile)
        )


def lock(transaction: Connection, customer_id: str) -> None:
    """Holds the customer's row: one at a time counts what is theirs. NotFound where there is none."""
    query = select(customer.c.customer_id).where(customer.c.customer_id == customer_id)
    if transaction.execute(query.with_for_update()).scalar() is None:
        raise NotFound("customer", customer_id)


def require(transaction: Connection, customer_id: str) -> None:
    """NotFound where there is no such customer."""
    _row(transaction, customer_id)


def record_access(
    transaction: Connection, customer_id: str, caller: str, reason: str, at: datetime
) -> None:
    """Notes who is about to see a name and a phone in clear."""
    transaction.execute(
        insert(contact_access).values(customer_id=customer_id, caller=caller, reason=reason, at=at)
    )


def _row(transaction: Connection, customer_id: str) -> Row[Any]:
    row = transaction.execute(
        select(customer).where(customer.c.customer_id == customer_id)
    ).one_or_none()
    if row is None:
        raise NotFound("customer", customer_id)
    return row


def _found(transaction: Connection, condition: Any) -> list[str]:
    query = select(customer.c.customer_id).where(condition).order_by(customer.c.customer_id)
    return list(transaction.execute(query).scalars())
