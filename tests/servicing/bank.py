"""A bank to lend from: servicing over the real ledger and the simulated outside world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cached_property
from itertools import count
from typing import Any

import grpc
from google.type import decimal_pb2

from support import House, rid, wait_until
from tael.ledger.v1 import accounting_pb2, accounting_pb2_grpc, ledger_pb2, ledger_pb2_grpc
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    direct_debit_pb2,
    direct_debit_pb2_grpc,
    end_of_day_pb2,
    end_of_day_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
    loan_change_pb2,
    loan_change_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
    portfolio_pb2,
    portfolio_pb2_grpc,
    product_pb2,
    product_pb2_grpc,
    repayment_pb2,
    repayment_pb2_grpc,
)
from tael_client.values import from_date, money
from tael_servicing import loan_store, loans
from tael_servicing.arithmetic.fold import replay
from tael_servicing.end_of_day.checks import control_totals

START = date(2026, 1, 15)
PAY = "tael.provider.v1.PaymentProviderService/Pay"
VERIFY = "tael.provider.v1.PaymentProviderService/VerifyCardHolder"
DEBIT = "tael.provider.v1.PaymentProviderService/Debit"
DUE_TOMORROW = {"first_period": product_pb2.FIRST_PERIOD_EQUAL, "min_first_days": 1}
"""A loan of such terms with `repay_day=16` has 879.98 due the day after START."""
_numbers = count(1)


def decimal(text: str) -> decimal_pb2.Decimal:
    return decimal_pb2.Decimal(value=text)


def product_terms(**choices: Any) -> product_pb2.ProductTerms:
    """Twelve months, 等额本息, 12 %, penalty 1.5×, compound on, 1 % prepayment fee."""
    return product_pb2.ProductTerms(
        **{
            "method": product_pb2.REPAYMENT_METHOD_EQUAL_INSTALMENT,
            "min_periods": 1,
            "max_periods": 24,
            "min_principal": 1_000,
            "max_principal": 20_000_000,
            "annual_rate": decimal("0.12"),
            "penalty_multiplier": decimal("1.5"),
            "compound_enabled": True,
            "prepayment_fee_rate": decimal("0.01"),
            **choices,
        }
    )


def every_ten_days(**choices: Any) -> dict[str, Any]:
    """Terms of which a journey is short: due every ten days, off balance after twelve past due."""
    every = product_pb2.Frequency(unit=product_pb2.FREQUENCY_UNIT_DAY, every=10)
    return {
        "schedule": product_pb2.ScheduleTerms(frequency=every),
        "non_accrual": product_pb2.NonAccrualTerms(dpd=12),
        **choices,
    }


class Bank:
    """One book with one product in a running house."""

    def __init__(
        self, house: House, start: date = START, book: dict[str, Any] | None = None, **terms: Any
    ) -> None:
        self.house = house
        self.day = start
        number = next(_numbers)
        self.book, self.product = f"book-{number}", f"cash-{number}"
        self.ledger.CreateBook(
            ledger_pb2.CreateBookRequest(
                request_id=rid(),
                book_id=self.book,
                legal_entity="示范银行 Demo Bank",
                currency_code="CNY",
                business_date=from_date(start),
                **(book or {}),
            )
        )
        self.products.PublishProduct(self.publication(**terms))

    @cached_property
    def ledger(self) -> ledger_pb2_grpc.LedgerServiceStub:
        return self.house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)

    @cached_property
    def accounting(self) -> accounting_pb2_grpc.AccountingServiceStub:
        return self.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub)

    @cached_property
    def outside(self) -> simulator_pb2_grpc.SimulatorServiceStub:
        return self.house.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)

    @cached_property
    def products(self) -> product_pb2_grpc.ProductServiceStub:
        return self.house.client("servicing", product_pb2_grpc.ProductServiceStub)

    @cached_property
    def lines(self) -> credit_line_pb2_grpc.CreditLineServiceStub:
        return self.house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)

    @cached_property
    def loans(self) -> loan_pb2_grpc.LoanServiceStub:
        return self.house.client("servicing", loan_pb2_grpc.LoanServiceStub)

    @cached_property
    def changes(self) -> loan_change_pb2_grpc.LoanChangeServiceStub:
        return self.house.client("servicing", loan_change_pb2_grpc.LoanChangeServiceStub)

    @cached_property
    def repayments(self) -> repayment_pb2_grpc.RepaymentServiceStub:
        return self.house.client("servicing", repayment_pb2_grpc.RepaymentServiceStub)

    @cached_property
    def direct_debits(self) -> direct_debit_pb2_grpc.DirectDebitServiceStub:
        return self.house.client("servicing", direct_debit_pb2_grpc.DirectDebitServiceStub)

    @cached_property
    def day_ends(self) -> end_of_day_pb2_grpc.EndOfDayServiceStub:
        return self.house.client("servicing", end_of_day_pb2_grpc.EndOfDayServiceStub)

    @cached_property
    def portfolio(self) -> portfolio_pb2_grpc.PortfolioServiceStub:
        return self.house.client("servicing", portfolio_pb2_grpc.PortfolioServiceStub)

    def publication(self, **terms: Any) -> product_pb2.PublishProductRequest:
        return product_pb2.PublishProductRequest(
            request_id=rid(),
            code=self.product,
            name="Cash loan",
            terms=product_terms(**terms),
            book_id=self.book,
        )

    def grant(self, limit: int = 2_000_000, customer: str = "", **choices: Any) -> Any:
        """A revolving line of 20,000.00 at 12 %."""
        request = credit_line_pb2.GrantCreditLineRequest(
            **{
                "request_id": rid(),
                "customer_id": customer or f"cu-{next(_numbers)}",
                "product_code": self.product,
                "limit": money(limit),
                "revolving": True,
                "annual_rate": decimal("0.12"),
                "valid_to": from_date(self.day + timedelta(days=730)),
                **choices,
            }
        )
        return self.lines.GrantCreditLine(request).line

    def line(self, line_id: str) -> tuple[int, int, int]:
        """(used, reserved, available)."""
        found = self.lines.GetCreditLine(credit_line_pb2.GetCreditLineRequest(line_id=line_id)).line
        parts = (found.used, found.reserved, found.available)
        used, reserved, available = (part.minor_units for part in parts)
        return used, reserved, available

    def disbursement(self, line_id: str, card: str, **choices: Any) -> Any:
        """10,000.00 over twelve months."""
        return loan_pb2.DisburseLoanRequest(
            **{
                "request_id": rid(),
                "line_id": line_id,
                "principal": money(1_000_000),
                "periods": 12,
                "card_token": card,
                **choices,
            }
        )

    def lend(self, line_id: str = "", card: str = "", **choices: Any) -> loan_pb2.Loan:
        request = self.disbursement(
            line_id or self.grant().line_id, card or f"card-{next(_numbers)}", **choices
        )
        return self.loans.DisburseLoan(request).loan

    def buy(self, principal: int, price: int, **choices: Any) -> loan_pb2.Loan:
        """A loan that fell due two weeks ago, of another lender."""
        request = loan_pb2.PurchaseLoanRequest(
            **{
                "request_id": rid(),
                "customer_id": f"cu-{next(_numbers)}",
                "product_code": self.product,
                "principal": money(principal),
                "price": money(price),
                "due_date": from_date(self.day - timedelta(days=14)),
                "annual_rate": decimal("0.12"),
                "source": "transfer agreement 7",
                **choices,
            }
        )
        return self.loans.PurchaseLoan(request).loan

    def loan(self, loan_id: str) -> loan_pb2.Loan:
        return self.loans.GetLoan(loan_pb2.GetLoanRequest(loan_id=loan_id)).loan

    def owes(self, loan_id: str) -> dict[str, int]:
        """The balances that are not zero; the allowance is the lender's own."""
        balances = self.loan(loan_id).balances
        told = {field.name: value for field, value in balances.ListFields()}
        return {name: value for name, value in told.items() if name != "allowance"}

    def schedule(self, loan_id: str) -> list[loan_pb2.Instalment]:
        request = loan_pb2.GetScheduleRequest(loan_id=loan_id)
        return list(self.loans.GetSchedule(request).instalments)

    def repay(
        self, loan_id: str, minor_units: int, kind: str = "DUE", **choices: Any
    ) -> repayment_pb2.RepayResponse:
        request = repayment_pb2.RepayRequest(
            **{
                "request_id": rid(),
                "loan_id": loan_id,
                "amount": money(minor_units),
                "kind": repayment_pb2.RepaymentKind.Value(f"REPAYMENT_KIND_{kind}"),
                **choices,
            }
        )
        return self.repayments.Repay(request)

    def change(self, name: str, loan_id: str, **fields: Any) -> loan_pb2.Loan:
        """The loan after a rpc of LoanChangeService: `change("WaiveLoan", loan_id, penalty=5)`."""
        made: type[Any] = getattr(loan_change_pb2, f"{name}Request")
        named = {"request_id": rid(), "loan_id": loan_id, **fields}
        for word in ("approval", "reference", "reason"):
            if word in made.DESCRIPTOR.fields_by_name:
                named.setdefault(word, "case-7")
        loan: loan_pb2.Loan = getattr(self.changes, name)(made(**named)).loan
        return loan

    def reverse(self, loan_id: str, repayment_id: str, **choices: Any) -> loan_pb2.Loan:
        """The loan after a repayment is taken back."""
        request = repayment_pb2.ReverseRepaymentRequest(
            **{
                "request_id": rid(),
                "loan_id": loan_id,
                "repayment_id": repayment_id,
                "reason": "the debit bounced",
                **choices,
            }
        )
        return self.repayments.ReverseRepayment(request).loan

    def repaid(self, loan_id: str) -> list[repayment_pb2.Repayment]:
        """A loan's repayments, oldest first, as they are spread now."""
        request = repayment_pb2.ListRepaymentsRequest(loan_id=loan_id)
        return list(self.repayments.ListRepayments(request).repayments)

    def history(self, loan_id: str) -> list[loan_pb2.LoanHistoryEntry]:
        """What happened to a loan, as it became known."""
        request = loan_pb2.ListLoanHistoryRequest(loan_id=loan_id, page_size=500)
        return list(self.loans.ListLoanHistory(request).entries)

    def day_payoff(self, loan_id: str) -> int:
        """What settles a loan today."""
        request = repayment_pb2.QuotePayoffRequest(loan_id=loan_id)
        return int(self.repayments.QuotePayoff(request).total.minor_units)

    def run_day(self, day: date | None = None) -> end_of_day_pb2.EndOfDayRun:
        """The last word of a day end."""
        request = end_of_day_pb2.RunEndOfDayRequest(
            book_id=self.book, business_date=from_date(day or self.day)
        )
        last = end_of_day_pb2.EndOfDayRun()
        for answer in self.day_ends.RunEndOfDay(request):
            last = answer.run
        return last

    def end_day(self) -> end_of_day_pb2.EndOfDayRun:
        """Ends the business date."""
        run = self.run_day()
        assert run.state == end_of_day_pb2.RUN_STATE_DONE, run.error
        self.day += timedelta(days=1)
        return run

    def end_days(self, until: date) -> None:
        """Ends day after day until `until` is open."""
        while self.day < until:
            self.end_day()

    def fails(self, card: str, code: str = "INSUFFICIENT_FUNDS", times: int = 20) -> None:
        """The next debits of a card fail."""
        self.script(DEBIT, card, *[simulator_pb2.Behaviour(failure_code=code)] * times)

    def debits(self, loan_id: str) -> list[direct_debit_pb2.Debit]:
        """A loan's debits, oldest first."""
        request = direct_debit_pb2.ListDebitsRequest(loan_id=loan_id)
        return list(self.direct_debits.ListDebits(request).debits)

    def await_debit(self, loan_id: str, state: str) -> direct_debit_pb2.Debit:
        """A loan's newest debit, once it has come to a state: "SUCCESS"."""
        wanted = direct_debit_pb2.DebitState.Value(f"DEBIT_STATE_{state}")

        def found() -> direct_debit_pb2.Debit | None:
            newest = self.debits(loan_id)[-1:]
            return newest[0] if newest and newest[0].state == wanted else None

        debit: direct_debit_pb2.Debit = wait_until(found, 20, f"a debit to be {state}")
        return debit

    def script(self, method: str, key: str, *behaviours: simulator_pb2.Behaviour) -> None:
        self.outside.ScriptBehaviour(
            simulator_pb2.ScriptBehaviourRequest(method=method, key=key, behaviours=behaviours)
        )

    def payments(self, card: str) -> list[simulator_pb2.ObservedPayment]:
        """What the outside bank saw of a card."""
        found = self.outside.ListPayments(simulator_pb2.ListPaymentsRequest()).payments
        return [payment for payment in found if payment.card_token == card]

    def posted(self, loan_id: str, event: str) -> list[dict[str, int]]:
        """The amounts of each posting of that event, oldest first; each is in the ledger."""
        found = self.told(loan_id)
        assert all(each.entry_sequences for each in found), "all delivered"
        return [dict(each.amounts) for each in found if each.event == event]

    def told(self, loan_id: str) -> list[loan_pb2.LoanEvent]:
        """Everything the loan posted, oldest first."""
        request = loan_pb2.ListLoanEventsRequest(loan_id=loan_id, page_size=1000)
        return list(self.loans.ListLoanEvents(request).events)

    def vouchers(self, loan_id: str, event: str) -> list[tuple[str, str, int]]:
        """The lines of the last voucher of that event: (account code, Dr or Cr, amount)."""
        found = [each for each in self.told(loan_id) if each.event == event]
        lines = []
        for sequence in found[-1].entry_sequences:
            entry = self.ledger.GetEntry(
                ledger_pb2.GetEntryRequest(book_id=self.book, sequence=sequence)
            ).entry
            for line in entry.lines:
                side = "Dr" if line.side == ledger_pb2.SIDE_DEBIT else "Cr"
                lines.append((line.account_number.partition(":")[0], side, line.amount))
        return lines

    def balance(self, code: str, owner: str = "", worth: date | None = None) -> int:
        """An account's balance in the ledger; of what is worth `worth` or earlier where given."""
        number = f"{code}:{owner}" if owner else code
        request = ledger_pb2.GetBalancesRequest(
            book_id=self.book,
            account_numbers=[number],
            value_date=from_date(worth) if worth else None,
        )
        return int(self.ledger.GetBalances(request).balances[0].balance)

    def trial_balance(self) -> accounting_pb2.TrialBalanceResponse:
        request = accounting_pb2.TrialBalanceRequest(book_id=self.book)
        return self.accounting.TrialBalance(request)

    def provided_for_lines(self) -> int:
        """What undrawn commitments are expected to lose (2801)."""
        rows = self.trial_balance().rows
        return sum(row.balance for row in rows if row.account.code.startswith("2801"))

    def assert_books_agree(self) -> None:
        """Servicing's totals are the ledger's, which balance; every loan is the fold of its events."""
        database = self.house.running["servicing"].runtime.database
        with database.read() as connection:
            ours = control_totals(connection, self.book)
        answer = self.trial_balance()
        theirs = {row.account.code: row.balance for row in answer.rows}
        assert ours == {code: theirs.get(code, 0) for code in ours}
        assert answer.total_debits == answer.total_credits
        self.assert_loans_are_their_events()

    def assert_loans_are_their_events(self) -> None:
        """Each loan in the store is exactly what its events fold to."""
        database = self.house.running["servicing"].runtime.database
        listed = self.loans.ListLoans(loan_pb2.ListLoansRequest(page_size=500)).loans
        with database.read() as connection:
            ids = [loan.loan_id for loan in listed if loan.book_id == self.book]
            for held in loan_store.load(connection, ids):
                if held.state in loans.UNPAID_OUT:
                    continue
                events = loans.events_of(connection, held.contract.loan_id)
                folded = replay(held.terms, events, held.loan.business_date).loan
                assert held.loan == folded
                assert held.state == loans.state_of(folded)

    def loan_ledger(self, day: date | None = None) -> dict[str, portfolio_pb2.LoanLedgerRow]:
        """The rows of a day's loan ledger by loan; of the open day where none is given."""
        request = portfolio_pb2.LoanLedgerRequest(book_id=self.book)
        if day:
            request.date.CopyFrom(from_date(day))
        answers = self.portfolio.LoanLedger(request)
        return {row.loan_id: row for answer in answers for row in answer.rows}

    def events(self) -> Iterator[event_pb2.Event]:
        """What servicing told until now of this book's loans, in order."""
        stub = self.house.client("servicing", event_pb2_grpc.EventServiceStub)
        call: Any = stub.Watch(event_pb2.WatchRequest(), timeout=1.5)
        try:
            for answer in call:
                yield answer.event
        except grpc.RpcError:
            return
