"""The lender's side of the demo: days that pass, loans and vouchers looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn

from tael.collections.v1 import collections_pb2, collections_pb2_grpc
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
)
from tael_cli import eod
from tael_cli.demo.show import Stage
from tael_cli.services import Services
from tael_client.values import to_date
from tael_runtime.clock import SHANGHAI, set_clock

BOOK = "main"
T = TypeVar("T")


class Lender:
    """Back office, collectors and the passing of days."""

    def __init__(self, services: Services, stage: Stage, clock: Path) -> None:
        self.services = services
        self.stage = stage
        self._clock = clock
        self.today = eod.business_date(services, BOOK)
        self.loans = services.stub("servicing", loan_pb2_grpc.LoanServiceStub)
        self.lines = services.stub("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
        self.ledger = services.stub("ledger", ledger_pb2_grpc.LedgerServiceStub)
        self.cases = services.stub("collections", collections_pb2_grpc.CaseServiceStub)
        self._simulator = services.stub("simulators", simulator_pb2_grpc.SimulatorServiceStub)
        self.at("10:00")

    def at(self, hour: str) -> None:
        """Sets every service's clock to an hour of today, Shanghai time."""
        moment = datetime.combine(self.today, clock_time.fromisoformat(hour), SHANGHAI)
        set_clock(self._clock, moment)

    def script(self, method: str, key: str, *behaviours: simulator_pb2.Behaviour) -> None:
        """Tells the outside world how to behave in its next calls."""
        self._simulator.ScriptBehaviour(
            simulator_pb2.ScriptBehaviourRequest(
                method=f"tael.provider.v1.{method}", key=key, behaviours=behaviours
            )
        )

    def end_days_before(self, day: date) -> None:
        """Ends day after day until `day` is the open business date."""
        total = (day - self.today).days
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30))
        with Progress(*columns, console=self.stage.console, transient=True) as progress:
            bar = progress.add_task("", total=total)
            while self.today < day:
                self.at("23:00")
                progress.update(bar, description=f"end of {self.today}", advance=1)
                eod.end_day(self.services, BOOK, self.today)
                self.today += timedelta(days=1)
                self.at("10:00")
        self.stage.call("tael eod", f"servicing.RunEndOfDay ×{total}", f"{self.today} is open")

    def loan(self, loan_id: str) -> loan_pb2.Loan:
        """A loan as servicing has it."""
        return self.loans.GetLoan(loan_pb2.GetLoanRequest(loan_id=loan_id)).loan

    def line(self, line_id: str) -> credit_line_pb2.CreditLine:
        """A credit line as servicing has it."""
        request = credit_line_pb2.GetCreditLineRequest(line_id=line_id)
        return self.lines.GetCreditLine(request).line

    def vouchers(
        self, loan_id: str, event: str, since: date | None = None
    ) -> list[ledger_pb2.Entry]:
        """The ledger's entries of one event of a loan, oldest first; with compound ones cut to it."""
        owner = ledger_pb2.Owner(owner_type="LOAN", owner_id=loan_id)
        request = ledger_pb2.ListEntriesRequest(
            book_id=BOOK, event=event, owner=owner, page_size=1000
        )
        entries = self.ledger.ListEntries(request).entries
        return [e for e in entries if since is None or to_date(e.booking_date) >= since]

    def show(self, loan_id: str, event: str, since: date | None = None) -> None:
        """Prints those entries as vouchers."""
        for entry in self.vouchers(loan_id, event, since):
            self.stage.voucher(entry)

    def case_of(self, customer_id: str) -> collections_pb2.Case:
        """The debtor's case, once collections has it."""
        request = collections_pb2.ListCasesRequest(customer_id=customer_id)
        cases = wait_for(lambda: self.cases.ListCases(request).cases)
        return cases[-1]

    def await_case(
        self, customer_id: str, holds: Callable[[collections_pb2.Case], bool]
    ) -> collections_pb2.Case:
        """The debtor's case once collections has followed servicing's events that far."""

        def ready() -> collections_pb2.Case | None:
            case = self.case_of(customer_id)
            return case if holds(case) else None

        return wait_for(ready)


def wait_for(find: Callable[[], T | None], seconds: float = 20) -> T:
    """Asks until there is an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.05)
    raise TimeoutError("the services did not get there in time")
