"""What every servicer and loop of the service works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from tael.ledger.v1 import accounting_pb2_grpc, ledger_pb2_grpc
from tael.provider.v1 import payment_pb2_grpc
from tael_runtime import idempotency
from tael_runtime.database import Database
from tael_runtime.server import Runtime
from tael_servicing import books, loan_store
from tael_servicing.loans import Held
from tael_servicing.outgoing import Sender

AnswerT = TypeVar("AnswerT", bound=Message)


@dataclass(frozen=True)
class Desk:
    """The store, the ledger, the payment provider and the folder of reports."""

    database: Database
    ledger: ledger_pb2_grpc.LedgerServiceStub
    accounting: accounting_pb2_grpc.AccountingServiceStub
    payments: payment_pb2_grpc.PaymentProviderServiceStub
    sender: Sender
    reports: Path

    def on_loan(
        self,
        rpc: str,
        request: Any,
        answer: type[AnswerT],
        work: Callable[[Connection, Held, date], AnswerT],
    ) -> AnswerT:
        """Does a request's work on its locked loan, once for its request_id, on the open business
        date, and answers when the ledger has what it posted.

        The request names its loan_id. Raises NotFound; PostingRefused; what the work raises.
        """
        loan_id: str = request.loan_id

        def once(transaction: Connection) -> AnswerT:
            day, held = loan_store.lock_on_open_day(transaction, loan_id)
            return work(transaction, held, day)

        made = books.on_an_open_day(
            lambda: idempotency.once(self.database, rpc, request, answer, once)
        )
        self.sender.deliver_loan(loan_id)
        return made


def open_desk(runtime: Runtime) -> Desk:
    """The desk of a running service."""
    ledger = runtime.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
    return Desk(
        database=runtime.database,
        ledger=ledger,
        accounting=runtime.client("ledger", accounting_pb2_grpc.AccountingServiceStub),
        payments=runtime.client("providers", payment_pb2_grpc.PaymentProviderServiceStub),
        sender=Sender(runtime.database, ledger),
        reports=runtime.settings.reports,
    )
