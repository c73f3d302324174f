"""Credit contracts: prepared with their cost table, assented to, signed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from tael.origination.v1 import contract_pb2 as pb
from tael.servicing.v1 import loan_pb2
from tael_client.values import from_decimal, from_instant, money
from tael_origination import events
from tael_origination.reasons import Reason
from tael_origination.tables import contract
from tael_runtime.errors import FailedPrecondition, NotFound

LEAST_READING_SECONDS = 5
"""How long the cost table must stand before the customer (金规〔2026〕2号)."""


@dataclass(frozen=True)
class Contract:
    """A contract as stored."""

    contract_id: str
    application_id: str
    customer_id: str
    product_code: str
    line_id: str
    currency: str
    limit_amount: int
    rate: Decimal
    apr: Decimal
    """All-in annual rate, IRR × 12."""
    cost_table: list[dict[str, Any]]
    """Rows as shown: name, basis, charged_by, contingent, amount."""
    prepared_pdf: bytes
    """Sealed."""
    document_hash: str
    """SHA-256 of the PDF as it stands, hex."""
    state: str = "PREPARED"
    assented_at: datetime | None = None
    """When the customer's code was right."""
    assent_code_id: str | None = None
    cost_table_seconds: int | None = None
    signed_at: datetime | None = None

    @property
    def awaits_seal(self) -> bool:
        """The customer has signed, the lender not yet."""
        return self.state == "PREPARED" and self.assented_at is not None

    def message(self) -> pb.Contract:
        """The contract's form on the wire."""
        return pb.Contract(
            contract_id=self.contract_id,
            application_id=self.application_id,
            customer_id=self.customer_id,
            line_id=self.line_id,
            state=pb.ContractState.Value(f"CONTRACT_STATE_{self.state}"),
            limit=money(self.limit_amount, self.currency),
            annual_rate=from_decimal(self.rate),
            cost_table=[pb.CostRow(**row) for row in self.cost_table],
            apr=from_decimal(self.apr),
            document_hash=self.document_hash,
            signed_at=from_instant(self.signed_at) if self.signed_at else None,
        )


def cost_rows(disclosure: loan_pb2.CostDisclosure) -> list[dict[str, Any]]:
    """Servicing's cost disclosure as rows."""
    return [
        {
            "name": item.name,
            "basis": item.basis,
            "charged_by": item.charged_by,
            "contingent": item.contingent,
            "amount": item.amount,
        }
        for item in disclosure.items
    ]


def prepare(transaction: Connection, prepared: Contract) -> str:
    """Stores a prepared contract; its id. Raises FailedPrecondition CONTRACT_EXISTS."""
    inserted = transaction.execute(
        insert(contract)
        .values(asdict(prepared))
        .on_conflict_do_nothing(index_elements=["application_id"])
    )
    if not inserted.rowcount:
        query = select(contract.c.contract_id).where(
            contract.c.application_id == prepared.application_id
        )
        existing = transaction.execute(query).scalar_one()
        raise FailedPrecondition(Reason.CONTRACT_EXISTS, f"it is contract {existing}", existing)
    events.contract_changed(transaction, prepared.message())
    return prepared.contract_id


def require_signable(current: Contract, cost_table_seconds: int) -> None:
    """Guards of a signature: not signed yet (CONTRACT_SIGNED), table read (COST_TABLE_NOT_READ)."""
    if current.assented_at is not None:
        raise FailedPrecondition(
            Reason.CONTRACT_SIGNED, "it is signed already", current.contract_id
        )
    if cost_table_seconds < LEAST_READING_SECONDS:
        raise FailedPrecondition(
            Reason.COST_TABLE_NOT_READ,
            f"the cost table stood {cost_table_seconds} s; {LEAST_READING_SECONDS} are needed",
            current.contract_id,
        )


def require_signed(current: Contract) -> None:
    """Guard: FailedPrecondition CONTRACT_NOT_SIGNED."""
    if current.state != "SIGNED":
        raise FailedPrecondition(
            Reason.CONTRACT_NOT_SIGNED, "the contract is not signed", current.contract_id
        )


def get(transaction: Connection, contract_id: str, *, lock: bool = False) -> Contract:
    """One contract, held where asked; NotFound."""
    query = select(contract).where(contract.c.contract_id == contract_id)
    row = transaction.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFound("contract", contract_id)
    return Contract(**row)


def half_signed(transaction: Connection) -> list[str]:
    """Contracts the customer has signed and the lender not yet."""
    query = select(contract.c.contract_id).where(
        contract.c.state == "PREPARED", contract.c.assented_at.is_not(None)
    )
    return list(transaction.execute(query).scalars())


def change(transaction: Connection, contract_id: str, **values: Any) -> Contract:
    """Writes values and returns the contract as it then is."""
    row = (
        transaction.execute(
            update(contract)
            .where(contract.c.contract_id == contract_id)
            .values(values)
            .returning(contract)
        )
        .mappings()
        .one()
    )
    return Contract(**row)
