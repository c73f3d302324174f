"""What every servicer and loop of the service works with."""

from __future__ import annotations

from dataclasses import dataclass

from tael.ledger.v1 import accounting_pb2_grpc, ledger_pb2_grpc
from tael.provider.v1 import payment_pb2_grpc
from tael_runtime.database import Database
from tael_runtime.server import Runtime
from tael_servicing.outgoing import Sender


@dataclass(frozen=True)
class Desk:
    """The store, the ledger and the payment provider."""

    database: Database
    ledger: ledger_pb2_grpc.LedgerServiceStub
    accounting: accounting_pb2_grpc.AccountingServiceStub
    payments: payment_pb2_grpc.PaymentProviderServiceStub
    sender: Sender


def open_desk(runtime: Runtime) -> Desk:
    """The desk of a running service."""
    ledger = runtime.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
    return Desk(
        database=runtime.database,
        ledger=ledger,
        accounting=runtime.client("ledger", accounting_pb2_grpc.AccountingServiceStub),
        payments=runtime.client("providers", payment_pb2_grpc.PaymentProviderServiceStub),
        sender=Sender(runtime.database, ledger),
    )
