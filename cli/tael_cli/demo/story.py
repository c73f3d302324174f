"""The acts of the demo, in order. Figures are what the services answer; none is written here."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import grpc
from rich.console import Console

from tael.collections.v1 import collections_pb2
from tael.ledger.v1 import ledger_pb2, proof_pb2, proof_pb2_grpc
from tael.origination.v1 import application_pb2, application_pb2_grpc
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.risk.v1 import decision_pb2, decision_pb2_grpc
from tael.servicing.v1 import loan_pb2, repayment_pb2, repayment_pb2_grpc
from tael_cli import audit, setup
from tael_cli.demo.collectors import CALL, Collectors
from tael_cli.demo.lender import BOOK, Lender, wait_for
from tael_cli.demo.people import ORDINARY_BUREAU, App, Person
from tael_cli.demo.show import Stage
from tael_cli.services import Services
from tael_cli.supervisor import ORDER, Supervisor, await_healthy
from tael_client.values import money, to_date, yuan
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_runtime.settings import PORTS, ServiceSettings, Settings

START = date(2026, 1, 15)

ZHANG = Person("张伟", "110101199003077897", "13800138001", "6222021234567890128")
LI = Person("李娜", "320501198512123333", "13800138002", "6217001234567890122")
WANG = Person(
    "王强",
    "440524198001010013",
    "13800138003",
    "6288880000000005",
    lenders={"queries_30d": 12, "queries_90d": 20},
)
CHEN = Person(
    "陈晨",
    "110105199203155111",
    "13800138004",
    "6222020000000000125",
    bureau={**ORDINARY_BUREAU, "queries_3m": 5},
    lenders={"queries_30d": 8, "queries_90d": 10},
)


def run(console: Console, keep: Path | None) -> int:
    """Starts everything on free ports over a data folder of its own, tells the story, stops it."""
    began = time.monotonic()
    with _house(keep) as (services, clock, settings):
        stage = Stage(console)
        stage.act("The house: five services, the bridge, the outside world, one PostgreSQL")
        for name in ORDER:
            stage.say(f"   {name:<12} {settings.target(name)}")
        sound = Story(services, stage, clock, settings).tell()
    seconds = time.monotonic() - began
    console.print(f"\nTold in {seconds:.0f} seconds; the books {'are sound' if sound else 'FAIL'}.")
    return 0 if sound else 1


@contextlib.contextmanager
def _house(keep: Path | None) -> Iterator[tuple[Services, Path, Settings]]:
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tael-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        clock = folder / "clock"
        ports = {name: ServiceSettings(listen=f"127.0.0.1:{_free_port()}") for name in PORTS}
        settings = Settings(data_dir=folder, clock=clock).model_copy(update=ports)
        environment = {
            "TAEL_DATA_DIR": str(folder),
            "TAEL_CLOCK": str(clock),
            "TAEL_LOG_LEVEL": "WARNING",
            **{f"TAEL_{name.upper()}__LISTEN": own.listen for name, own in ports.items()},
        }
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        stack.callback(postgres.stop if keep else postgres.destroy)
        supervisor = Supervisor(environment, folder / "logs")
        stack.callback(supervisor.stop)
        supervisor.start()
        await_healthy(settings, ORDER)
        services = Services(settings)
        stack.callback(services.close)
        yield services, clock, settings


def told(refused: grpc.RpcError) -> str:
    """A refusal as the caller sees it."""
    return f"refused: {refused.details()}" if isinstance(refused, grpc.Call) else str(refused)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Story:
    """One telling."""

    def __init__(self, services: Services, stage: Stage, clock: Path, settings: Settings) -> None:
        self.services = services
        self.stage = stage
        self.settings = settings
        setup.seed(services, BOOK, START)
        self.lender = Lender(services, stage, clock)
        self.l1 = self.l2 = ""

    def tell(self) -> bool:
        """All acts; True when the books prove themselves at the end."""
        self.applications()
        self.drawdowns()
        self.first_instalment()
        self.silence()
        self.collections()
        self.settlement()
        self.write_off()
        return self.proof()

    def app(self, person: Person) -> App:
        """The app in a person's hand, today."""
        return App(self.services, self.stage, person, self.lender.today)

    # Applications -------------------------------------------------------------------------------

    def applications(self) -> None:
        """Two good applicants, a bad one, a middling one."""
        self.stage.act("1. Applications: risk decides, a line is granted")
        for person in (ZHANG, LI, WANG, CHEN):
            self.lender.script(
                "BureauProviderService/QueryReport",
                person.id_number,
                simulator_pb2.Behaviour(figures=person.bureau),
            )
            self.lender.script(
                "ExternalDataProviderService/QueryMultiLender",
                person.id_number,
                simulator_pb2.Behaviour(figures=person.lenders),
            )
            self.app(person).register()
            self._decided(self.app(person).apply(2_000_000))
        self.stage.say(f"   王强 is told: {'; '.join(WANG.application.customer_reasons)}")
        self._review(CHEN)

    def _decided(self, application: application_pb2.Application) -> None:
        stub = self.services.stub("risk", decision_pb2_grpc.DecisionServiceStub)
        request = decision_pb2.ExplainDecisionRequest(decision_id=application.decision_id)
        self.stage.decision(stub.ExplainDecision(request))
        if application.line_id:
            self.stage.call("origination", "servicing.GrantCreditLine", "ACTIVE")
            self.stage.line(self.lender.line(application.line_id))

    def _review(self, person: Person) -> None:
        """A reviewer proposes, a second person confirms."""
        reviewer = self.services.stub(
            "origination", application_pb2_grpc.ReviewServiceStub, "reviewer.liu"
        )
        second = self.services.stub(
            "origination", application_pb2_grpc.ReviewServiceStub, "reviewer.he"
        )
        identity = person.application.application_id
        reviewer.ClaimReview(
            application_pb2.ClaimReviewRequest(
                request_id=f"claim:{identity}", application_id=identity
            )
        )
        reviewer.ProposeReview(
            application_pb2.ProposeReviewRequest(
                request_id=f"propose:{identity}",
                application_id=identity,
                approve=True,
                limit=money(1_000_000),
                note="Queries explained by a house move; income proven by payslips.",
            )
        )
        self.stage.call("reviewer.liu", "origination.ProposeReview", "approve 10,000.00")
        try:
            reviewer.ConfirmReview(
                application_pb2.ConfirmReviewRequest(
                    request_id=f"self-confirm:{identity}", application_id=identity, confirm=True
                )
            )
        except grpc.RpcError as refused:
            self.stage.call("reviewer.liu", "origination.ConfirmReview", told(refused))
        review = second.ConfirmReview(
            application_pb2.ConfirmReviewRequest(
                request_id=f"confirm:{identity}", application_id=identity, confirm=True
            )
        ).review
        person.application = review.application
        self.stage.call("reviewer.he", "origination.ConfirmReview", "APPROVED")
        self.stage.line(self.lender.line(review.application.line_id))

    # Drawdowns ----------------------------------------------------------------------------------

    def drawdowns(self) -> None:
        """L1 is paid at once, L2's payout is UNKNOWN for a while, Chen's fails."""
        self.stage.act("2. Contract, signature, drawdown of 10,000.00")
        lender = self.lender
        self.app(ZHANG).sign_contract()
        self.l1 = self.app(ZHANG).draw(1_000_000).loan_id
        self.stage.name(self.l1, "L1")
        for person in (ZHANG, LI, CHEN):
            self.stage.name(person.application.line_id, person.name)
        rows = lender.loans.GetSchedule(loan_pb2.GetScheduleRequest(loan_id=self.l1)).instalments
        self.stage.schedule(rows, "L1: 10,000.00, 12 months, 12 %, 等额本息")
        lender.show(self.l1, "LOAN_DISBURSED")
        owner = ledger_pb2.Owner(owner_type="CUSTOMER", owner_id=ZHANG.customer_id)
        paid = lender.ledger.ListEntries(
            ledger_pb2.ListEntriesRequest(book_id=BOOK, event="DISBURSEMENT_PAID", owner=owner)
        ).entries
        for entry in paid:
            self.stage.voucher(entry)
        self.stage.line(lender.line(ZHANG.application.line_id))
        self.stage.say("\nL2: the provider answers UNKNOWN twice; it is queried, never sent again.")
        lender.script(
            "PaymentProviderService/Pay",
            LI.card_token,
            simulator_pb2.Behaviour(unknown_answers=2),
        )
        self.app(LI).sign_contract()
        self.l2 = self.app(LI).draw(1_000_000).loan_id
        self.stage.name(self.l2, "L2")
        self.stage.say(
            "\n陈晨's card is closed: the entry is reversed in red ink, the line released."
        )
        lender.script(
            "PaymentProviderService/Pay",
            CHEN.card_token,
            simulator_pb2.Behaviour(failure_code="CARD_CLOSED"),
        )
        self.app(CHEN).sign_contract()
        failed = self.app(CHEN).draw(500_000).loan_id
        self.stage.name(failed, "L3")
        lender.show(failed, "")
        self.stage.line(lender.line(CHEN.application.line_id))

    # Instalments --------------------------------------------------------------------------------

    def first_instalment(self) -> None:
        """31 nights of accrual, the due day, one debit that succeeds and one that does not."""
        self.stage.act("3. End of day, night after night; the first instalment")
        lender = self.lender
        lender.script(
            "PaymentProviderService/Debit",
            LI.card_token,
            simulator_pb2.Behaviour(failure_code="INSUFFICIENT_FUNDS"),
        )
        lender.end_days_before(date(2026, 2, 15))
        request = loan_pb2.ListLoanEventsRequest(loan_id=self.l1, page_size=1000)
        nights = [
            event.amounts["interest"]
            for event in lender.loans.ListLoanEvents(request).events
            if event.event == "INTEREST_ACCRUED"
        ]
        shown = ", ".join(yuan(amount) for amount in nights[:4])
        self.stage.say(
            f"   L1 accrued {len(nights)} nights: {shown}, …; together {yuan(sum(nights))}"
        )
        self.stage.say("   the first night, both loans in one compound entry, and the due day:")
        self.stage.voucher(lender.vouchers(self.l1, "INTEREST_ACCRUED")[0])
        lender.show(self.l1, "INTEREST_DUE")
        self._pay_over_rest(88_849)
        lender.end_days_before(date(2026, 2, 16))
        lender.show(self.l1, "REPAYMENT_RECEIVED")
        self.stage.say("   and 李娜's, over REST:")
        lender.show(self.l2, "REPAYMENT_RECEIVED")

    def _pay_over_rest(self, amount: int) -> None:
        """李娜's debit found no funds; she transfers the money and says so over REST."""
        url = f"http://{self.settings.target('gateway')}/v1/loans/{self.l2}:repay"
        body = {
            "requestId": "rest-repay-1",
            "amount": {"currencyCode": "CNY", "minorUnits": str(amount)},
            "funding": "FUNDING_TRANSFER",
        }
        request = urllib.request.Request(
            url,
            json.dumps(body).encode(),
            {"content-type": "application/json", "tael-caller": "li.na"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  http, to loopback
            answer = json.loads(response.read())
        parts = answer["repayment"]["allocation"]
        self.stage.call(
            "李娜 (REST)",
            f"POST /v1/loans/…:repay {yuan(amount)}",
            f"{response.status}: interest {yuan(int(parts['interest']))}, "
            f"principal {yuan(int(parts['principal']))}",
        )

    # Arrears ------------------------------------------------------------------------------------

    def silence(self) -> None:
        """L1 stops paying."""
        self.stage.act("4. L1 falls silent: overdue, penalty and compound interest, a case")
        lender = self.lender
        lender.script(
            "PaymentProviderService/Debit",
            ZHANG.card_token,
            *[simulator_pb2.Behaviour(failure_code="INSUFFICIENT_FUNDS")] * 24,
        )
        lender.end_days_before(date(2026, 3, 12))
        self._reminded(ZHANG, "3月15日")
        lender.end_days_before(date(2026, 3, 16))
        lender.show(self.l1, "PRINCIPAL_OVERDUE")
        entries = lender.vouchers(self.l1, "INTEREST_ACCRUED", since=date(2026, 3, 15))
        self.stage.say("   that night's accrual, penalty and compound interest beside interest:")
        for entry in entries[-1:]:
            self.stage.voucher(entry)
        case = lender.case_of(ZHANG.customer_id)
        self.stage.call("servicing event", "loans_overdue → collections", "case opened")
        self.stage.case(case)

    def _reminded(self, person: Person, due: str) -> None:
        """Three days before the due date servicing says so, and collections texts the customer."""
        phone = self.services.stub("simulators", simulator_pb2_grpc.SimulatorServiceStub)
        request = simulator_pb2.ReadTextsRequest(mobile=person.mobile)
        reminder = wait_for(
            lambda: [text for text in phone.ReadTexts(request).texts if due in text]
        )[-1]
        self.stage.call("servicing event", "reminders_due → collections → text message", reminder)

    def collections(self) -> None:
        """SMS, IVR, AI, people, a promise broken, the gate's refusals, an agency."""
        self.stage.act("5. Collections: every contact through the gate")
        lender = self.lender
        case = lender.case_of(ZHANG.customer_id)
        team = Collectors(lender, case.case_id)
        team.assign()
        team.contact(collections_pb2.CHANNEL_SMS, "您的贷款已逾期，请尽快还款。泰尔示范银行")
        team.contact(collections_pb2.CHANNEL_IVR, "您有一笔贷款已逾期。", "11:00")
        team.contact(collections_pb2.CHANNEL_AI_CALL, "请问您何时可以还款？", "14:00")
        spoken = team.contact(CALL, "Collector Chen Xi of Tael Demo Bank calls.", "16:00")
        if spoken is not None:
            team.outcome(spoken, "Will pay in three days.")
            team.promise(88_849, 3)
        team.contact(CALL, "A fourth call today.", "17:00")
        lender.end_days_before(date(2026, 3, 21))
        state = wait_for(
            lambda: [p for p in team.promises() if p.state == collections_pb2.PROMISE_STATE_BROKEN]
        )
        due = to_date(state[0].due_date)
        self.stage.call("collections", "day_closed", f"the promise of {due} is BROKEN")
        team.contact(CALL, "A call late at night.", "22:00")
        lender.end_days_before(date(2026, 4, 16))
        self.stage.case(lender.await_case(ZHANG.customer_id, lambda c: c.loans[0].dpd >= 32))
        lender.end_days_before(date(2026, 5, 16))
        self.stage.case(lender.await_case(ZHANG.customer_id, lambda c: c.loans[0].dpd >= 62))
        team.place()
        lender.end_days_before(date(2026, 6, 14))
        self.stage.act("6. Day 91: non-accrual; interest goes off balance")
        loan = lender.loan(self.l1)
        state_name = loan_pb2.LoanState.Name(loan.state).removeprefix("LOAN_STATE_")
        self.stage.say(f"   L1: DPD {loan.dpd}, {state_name}")
        lender.show(self.l1, "NON_ACCRUAL_ENTERED")
        lender.end_days_before(date(2026, 6, 15))
        self.stage.say("   the next night accrues off balance:")
        for entry in lender.vouchers(self.l1, "INTEREST_ACCRUED", since=date(2026, 6, 14)):
            self.stage.voucher(entry)

    # L2 -----------------------------------------------------------------------------------------

    def settlement(self) -> None:
        """L2 prepays 3,000 and keeps the term, then settles early."""
        self.stage.act("7. L2 prepays and settles early")
        lender = self.lender
        repayments = self.services.stub(
            "servicing", repayment_pb2_grpc.RepaymentServiceStub, "li.na"
        )
        lender.end_days_before(date(2026, 7, 16))
        quote = repayments.QuotePayoff(
            repayment_pb2.QuotePayoffRequest(
                loan_id=self.l2, date={"year": 2026, "month": 8, "day": 1}
            )
        )
        self.stage.call(
            "李娜",
            "servicing.QuotePayoff for 2026-08-01",
            f"principal {yuan(quote.parts.principal)} + interest {yuan(quote.parts.interest)} "
            f"+ fee {yuan(quote.parts.fee)} = {yuan(quote.total.minor_units)}",
        )
        prepay = repayments.QuotePrepayment(
            repayment_pb2.QuotePrepaymentRequest(loan_id=self.l2, principal_minor_units=300_000)
        )
        repayments.Repay(
            repayment_pb2.RepayRequest(
                request_id="prepay-1",
                loan_id=self.l2,
                amount=prepay.total,
                kind=repayment_pb2.REPAYMENT_KIND_PREPAY_KEEP_TERM,
                funding=repayment_pb2.FUNDING_TRANSFER,
                reference="prepayment of 3,000.00",
            )
        )
        self.stage.call(
            "李娜", "servicing.Repay PREPAY_KEEP_TERM", f"paid {yuan(prepay.total.minor_units)}"
        )
        rows = lender.loans.GetSchedule(loan_pb2.GetScheduleRequest(loan_id=self.l2)).instalments
        self.stage.schedule([row for row in rows if row.number > 6], "L2 after it: the term kept")
        lender.end_days_before(date(2026, 8, 1))
        payoff = repayments.QuotePayoff(repayment_pb2.QuotePayoffRequest(loan_id=self.l2))
        settled = repayments.Repay(
            repayment_pb2.RepayRequest(
                request_id="settle-1",
                loan_id=self.l2,
                amount=payoff.total,
                kind=repayment_pb2.REPAYMENT_KIND_SETTLE,
                funding=repayment_pb2.FUNDING_TRANSFER,
            )
        ).loan
        state = loan_pb2.LoanState.Name(settled.state).removeprefix("LOAN_STATE_")
        self.stage.call(
            "李娜", "servicing.Repay SETTLE", f"paid {yuan(payoff.total.minor_units)}, {state}"
        )
        lender.show(self.l2, "REPAYMENT_RECEIVED", since=date(2026, 8, 1))
        self.stage.line(lender.line(LI.application.line_id))

    # L1 -----------------------------------------------------------------------------------------

    def write_off(self) -> None:
        """L1 is written off by two people; then money comes all the same."""
        self.stage.act("8. Write-off, and recovery after it")
        lender = self.lender
        lender.end_days_before(date(2026, 9, 12))
        case = lender.case_of(ZHANG.customer_id)
        team = Collectors(lender, case.case_id)
        self.stage.case(case)
        team.write_off(self.l1)
        lender.show(self.l1, "LOAN_WRITTEN_OFF")
        team.place()
        team.recover(self.l1, 100_000)
        lender.show(self.l1, "RECOVERY_RECEIVED")
        self.stage.case(
            lender.await_case(
                ZHANG.customer_id, lambda c: c.status == collections_pb2.CASE_STATUS_RECOVERY
            )
        )

    # Proof --------------------------------------------------------------------------------------

    def proof(self) -> bool:
        """The audit, and bean-check over the exported journal."""
        self.stage.act("9. Proof")
        lender = self.lender
        lender.end_days_before(date(2026, 9, 13))
        sound = audit.run(self.services, self.stage.console, BOOK)
        return bean_check(self.services, self.stage) and sound


def bean_check(services: Services, stage: Stage) -> bool:
    """Exports the journal as plain-text accounting and has beancount check it and its balances."""
    stub = services.stub("ledger", proof_pb2_grpc.ProofServiceStub)
    request = proof_pb2.ExportJournalRequest(book_id=BOOK, format=proof_pb2.EXPORT_FORMAT_BEANCOUNT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.beancount"
        with path.open("wb") as file:
            for part in stub.ExportJournal(request):
                file.write(part.chunk)
        checker = "from beancount.scripts.check import main; main()"
        check = subprocess.run(
            [sys.executable, "-c", checker, str(path)], check=False, capture_output=True, text=True
        )
        assertions = sum(" balance " in line for line in path.read_text().splitlines())
    verdict = "accepts it" if check.returncode == 0 else f"refuses it:\n{check.stderr[:2000]}"
    stage.say(f"bean-check over the exported journal ({assertions} balance assertions): {verdict}")
    return check.returncode == 0
