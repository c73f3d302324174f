"""One book of a running ledger, and what most tests do with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from support import House, day, rid
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import accounting_pb2_grpc, ledger_pb2_grpc, proof_pb2_grpc
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr

FIRST_DAY = "2026-01-15"
OWNERS = {"LOAN": "L1", "CUSTOMER": "C1", "LINE": "N1", "PARTNER": "P1"}


@dataclass
class LedgerUnderTest:
    """One book of a running ledger."""

    house: House
    book_id: str
    ledger: ledger_pb2_grpc.LedgerServiceStub = field(init=False)
    accounting: accounting_pb2_grpc.AccountingServiceStub = field(init=False)
    proof: proof_pb2_grpc.ProofServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = self.house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
        accounting = accounting_pb2_grpc.AccountingServiceStub
        self.accounting = self.house.client("ledger", accounting, caller="tester")
        self.proof = self.house.client("ledger", proof_pb2_grpc.ProofServiceStub)

    @classmethod
    def opened(cls, house: House, book_id: str, **choices: Any) -> LedgerUnderTest:
        """A new book on its first day: `opened(house, "book-1", vat_mode=…)`."""
        opened = cls(house, book_id)
        opened.ledger.CreateBook(
            pb.CreateBookRequest(
                **{
                    "request_id": rid(),
                    "book_id": book_id,
                    "legal_entity": "示范银行 Demo Bank",
                    "currency_code": "CNY",
                    "business_date": day(FIRST_DAY),
                    **choices,
                }
            )
        )
        return opened

    def event(self, name: str, value_date: str = FIRST_DAY, **amounts: Any) -> pb.BusinessEvent:
        """An event of loan L1; `owners`, `status`, `product`, `source` are no amounts."""
        owners = amounts.pop("owners", OWNERS)
        return pb.BusinessEvent(
            event=name,
            value_date=day(value_date),
            product=amounts.pop("product", ""),
            accrual_status=amounts.pop("status", 0),
            source=amounts.pop("source", ""),
            narrative=amounts.pop("narrative", ""),
            owners=[pb.Owner(owner_type=t, owner_id=i) for t, i in owners.items()],
            amounts=[pb.EventAmount(amount_type=t, minor_units=m) for t, m in amounts.items()],
        )

    def record(self, *events: pb.BusinessEvent, request_id: str = "") -> pb.RecordEventsResponse:
        """Books events."""
        return self.ledger.RecordEvents(
            pb.RecordEventsRequest(
                request_id=request_id or rid(), book_id=self.book_id, events=events
            )
        )

    def post(self, name: str, **amounts: Any) -> pb.RecordEventsResponse:
        """Books one event."""
        return self.record(self.event(name, **amounts))

    def balance(self, *numbers: str, **as_of: Any) -> Any:
        """Balances of accounts: one, or a list."""
        answer = self.ledger.GetBalances(
            pb.GetBalancesRequest(book_id=self.book_id, account_numbers=numbers, **as_of)
        )
        balances = [one.balance for one in answer.balances]
        return balances[0] if len(numbers) == 1 else balances

    def trial_balance(self, **as_of: Any) -> ac.TrialBalanceResponse:
        """The trial balance."""
        return self.accounting.TrialBalance(ac.TrialBalanceRequest(book_id=self.book_id, **as_of))

    def close_day(self, text_date: str) -> ac.CloseDayResponse:
        """Closes a day."""
        return self.accounting.CloseDay(
            ac.CloseDayRequest(request_id=rid(), book_id=self.book_id, business_date=day(text_date))
        )

    def findings(self, **anchor: Any) -> list[tuple[str, str]]:
        """(check, subject) of what Prove finds."""
        parts = list(self.proof.Prove(pr.ProveRequest(book_id=self.book_id, **anchor)))
        assert parts[-1].HasField("summary")
        found = [(pr.Check.Name(p.finding.check), p.finding.subject) for p in parts[:-1]]
        assert parts[-1].summary.findings == len(found)
        return found


def lines(entry: pb.Entry) -> dict[str, tuple[str, int]]:
    """An entry's lines: account number → (Dr or Cr, amount)."""
    side = {pb.SIDE_DEBIT: "Dr", pb.SIDE_CREDIT: "Cr"}
    return {line.account_number: (side[line.side], line.amount) for line in entry.lines}
