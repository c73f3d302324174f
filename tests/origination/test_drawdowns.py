"""Contracts and drawdowns, through the real services, down to the money that moves."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import grpc
import pytest
from origination_support import (
    BUREAU_QUERY,
    LONGER_THAN_RISK_WAITS,
    Applicant,
    open_lender,
    unpublished,
)

from support import House, refusal, rid, violations, wait_until
from tael.origination.v1 import application_pb2, contract_pb2, contract_pb2_grpc, customer_pb2
from tael.provider.v1 import simulator_pb2
from tael.servicing.v1 import (
    credit_line_pb2,
    credit_line_pb2_grpc,
    loan_pb2,
    loan_pb2_grpc,
)
from tael_client.values import money, to_decimal

ResponseT = TypeVar("ResponseT")
PAID = contract_pb2.DRAWDOWN_STATE_PAID
PAYING = contract_pb2.DRAWDOWN_STATE_PAYING
FAILED = contract_pb2.DRAWDOWN_STATE_FAILED
PAY = "PaymentProviderService/Pay"


@pytest.fixture(scope="module")
def lender(open_house: Callable[..., House]) -> House:
    house = open_house("simulators", "ledger", "servicing", "risk")
    open_lender(house)
    return house.spawn("origination")


class Records(Applicant):
    """What the services have of an applicant."""

    def lines(self) -> list[credit_line_pb2.CreditLine]:
        stub = self.house.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
        request = credit_line_pb2.ListCreditLinesRequest(customer_id=self.customer_id)
        return list(stub.ListCreditLines(request).lines)

    def loans(self) -> list[loan_pb2.Loan]:
        stub = self.house.client("servicing", loan_pb2_grpc.LoanServiceStub)
        return list(stub.ListLoans(loan_pb2.ListLoansRequest(customer_id=self.customer_id)).loans)

    def payments(self) -> list[simulator_pb2.ObservedPayment]:
        everyone = self.simulator.ListPayments(simulator_pb2.ListPaymentsRequest()).payments
        return [payment for payment in everyone if payment.card_token == self.card_token]

    def archive(self) -> list[contract_pb2.ArchivedDocument]:
        stub = self.house.client("origination", contract_pb2_grpc.ArchiveServiceStub)
        request = contract_pb2.ListArchiveRequest(customer_id=self.customer_id)
        return list(stub.ListArchive(request).documents)


class Borrower(Records):
    """An applicant with a line and a contract."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.verified()
        self.credit = self.apply()
        self.agreed = self.contract(self.credit.application_id)

    def signed(self) -> Borrower:
        self.agreed = self.sign(self.agreed.contract_id)
        return self

    def line(self) -> credit_line_pb2.CreditLine:
        (line,) = self.lines()
        return line

    def download(self) -> list[bytes]:
        request = contract_pb2.DownloadContractRequest(contract_id=self.agreed.contract_id)
        return [part.chunk for part in self.contracts.DownloadContract(request)]

    def verify(self) -> contract_pb2.VerifyContractResponse:
        request = contract_pb2.VerifyContractRequest(contract_id=self.agreed.contract_id)
        return self.contracts.VerifyContract(request)

    def drawdown(self, drawdown_id: str) -> contract_pb2.Drawdown:
        request = contract_pb2.GetDrawdownRequest(drawdown_id=drawdown_id)
        return self.drawdowns.GetDrawdown(request).drawdown


def test_a_contract_shows_every_cost_before_it_is_signed(lender: House) -> None:
    borrower = Borrower(lender)
    contract = borrower.agreed
    assert contract.state == contract_pb2.CONTRACT_STATE_PREPARED
    assert contract.line_id == borrower.credit.line_id
    assert contract.limit == borrower.credit.approved_limit
    assert contract.annual_rate == borrower.credit.approved_rate
    assert any(not row.contingent and row.amount > 0 for row in contract.cost_table)
    assert any(row.contingent for row in contract.cost_table)
    assert to_decimal(contract.apr) > 0
    pdf = b"".join(borrower.download())
    assert pdf.startswith(b"%PDF-")
    assert hashlib.sha256(pdf).hexdigest() == contract.document_hash
    with pytest.raises(grpc.RpcError) as refused:
        borrower.verify()
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONTRACT_NOT_SIGNED")
    with pytest.raises(grpc.RpcError) as refused:
        borrower.contract(borrower.credit.application_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONTRACT_EXISTS")


def test_a_contract_is_signed_by_a_reader_with_the_code_and_sealed(lender: House) -> None:
    borrower = Borrower(lender)
    contract_id = borrower.agreed.contract_id
    prepared = b"".join(borrower.download())
    code = borrower.send_code()
    with pytest.raises(grpc.RpcError) as refused:
        borrower.sign(contract_id, code, seconds=4)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "COST_TABLE_NOT_READ")
    with pytest.raises(grpc.RpcError) as refused:
        borrower.sign(contract_id, f"{(int(code) + 1) % 1_000_000:06d}")
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "WRONG_CODE")
    signed = borrower.sign(contract_id, code, seconds=5)
    assert signed.state == contract_pb2.CONTRACT_STATE_SIGNED
    assert signed.HasField("signed_at")
    chunks = borrower.download()
    assert all(0 < len(chunk) <= 65536 for chunk in chunks)
    pdf = b"".join(chunks)
    assert pdf.startswith(prepared)
    assert hashlib.sha256(pdf).hexdigest() == signed.document_hash
    proof = borrower.verify()
    assert proof.hash_matches
    assert proof.signature_intact
    assert "Tael Bank" in proof.signer
    filed = [(document.type, document.subject_id) for document in borrower.archive()]
    assert filed == [
        ("APPROVAL_NOTICE", borrower.credit.application_id),
        ("CONTRACT", contract_id),
    ]
    with pytest.raises(grpc.RpcError) as refused:
        borrower.sign(contract_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONTRACT_SIGNED")


def test_a_changed_archive_is_found_out(lender: House) -> None:
    borrower = Borrower(lender).signed()
    lender.sql(
        "UPDATE document SET content = set_byte(content, 100, get_byte(content, 100) # 1) "
        "WHERE subject_id = :id",
        "origination",
        write=True,
        id=borrower.agreed.contract_id,
    )
    proof = borrower.verify()
    assert not proof.hash_matches
    assert not proof.signature_intact
    with pytest.raises(grpc.RpcError) as refused:
        borrower.download()
    assert refusal(refused.value) == ("INTERNAL", "DOCUMENT_DAMAGED")


def test_a_drawdown_becomes_a_loan_and_money_on_the_card(lender: House) -> None:
    borrower = Borrower(lender).signed()
    free = borrower.line().available.minor_units
    drawdown = borrower.draw(borrower.agreed.contract_id)
    assert drawdown.state == contract_pb2.DRAWDOWN_STATE_RISK_OK, drawdown
    assert drawdown.first_instalment > 0
    assert to_decimal(drawdown.apr) > 0
    assert borrower.payments() == []
    request_id = rid()
    paid = borrower.sign_drawdown(drawdown.drawdown_id, request_id)
    assert paid.state == PAID, paid
    (loan,) = borrower.loans()
    assert loan.loan_id == paid.loan_id
    assert loan.principal == money(1_000_000)
    assert loan.annual_rate == borrower.agreed.annual_rate
    assert borrower.line().available.minor_units == free - 1_000_000
    (payment,) = borrower.payments()
    assert (payment.minor_units, payment.times_sent, payment.moved) == (1_000_000, 1, True)
    assert [document.type for document in borrower.archive()][-1] == "DRAWDOWN_AGREEMENT"
    with pytest.raises(grpc.RpcError) as refused:
        borrower.sign_drawdown(drawdown.drawdown_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "DRAWDOWN_NOT_OPEN")


def test_a_drawdown_repeated_is_one_drawdown_though_the_line_is_spent(lender: House) -> None:
    borrower = Borrower(lender).signed()
    all_of_it = borrower.line().available.minor_units
    request = contract_pb2.RequestDrawdownRequest(
        request_id=rid(),
        contract_id=borrower.agreed.contract_id,
        amount=money(all_of_it),
        periods=12,
        card_token=borrower.card_token,
    )
    first = borrower.drawdowns.RequestDrawdown(request).drawdown
    sign = contract_pb2.SignDrawdownRequest(
        request_id=rid(), drawdown_id=first.drawdown_id, code=borrower.send_code()
    )
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(borrower.drawdowns.SignDrawdown, sign) for _ in range(3)]
    assert {call.result().drawdown.loan_id for call in calls} == {borrower.loans()[0].loan_id}
    again = borrower.drawdowns.RequestDrawdown(request).drawdown
    assert (again.drawdown_id, again.state) == (first.drawdown_id, PAID)
    assert len(borrower.payments()) == 1
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(borrower.agreed.contract_id, 100_000)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "LINE_EXCEEDED")


def test_what_forbids_a_drawdown_is_named(lender: House) -> None:
    borrower = Borrower(lender)
    contract_id = borrower.agreed.contract_id
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(contract_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONTRACT_NOT_SIGNED")
    borrower.signed()
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(contract_id, borrower.line().limit.minor_units + 1)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "LINE_EXCEEDED")
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(contract_id, -1)
    assert "amount.minor_units" in violations(refused.value)
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(contract_id, periods=36)
    assert "periods" in violations(refused.value)
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw("ct_nothing")
    assert refusal(refused.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")
    own, borrower.card_token = borrower.card_token, "card_of_another"
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(contract_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CARD_NOT_BOUND")
    borrower.card_token = own
    listed = borrower.consents.ListConsents(
        customer_pb2.ListConsentsRequest(customer_id=borrower.customer_id)
    )
    for consent in listed.consents:
        if consent.type == BUREAU_QUERY:
            borrower.consents.WithdrawConsent(
                customer_pb2.WithdrawConsentRequest(request_id=rid(), consent_id=consent.consent_id)
            )
    with pytest.raises(grpc.RpcError) as refused:
        borrower.draw(contract_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CONSENT_MISSING")
    assert borrower.loans() == []


def test_no_drawdown_is_declined_because_risk_has_not_heard_of_the_consent(lender: House) -> None:
    borrower = Borrower(lender).signed()
    with ThreadPoolExecutor(1) as pool:
        with unpublished(lender):
            borrower.consent(BUREAU_QUERY)
            answer = pool.submit(borrower.draw, borrower.agreed.contract_id)
            with pytest.raises(TimeoutError):
                answer.result(LONGER_THAN_RISK_WAITS)
        assert answer.result().state == contract_pb2.DRAWDOWN_STATE_RISK_OK


def test_a_fourth_drawdown_in_a_day_is_declined(lender: House) -> None:
    borrower = Borrower(lender).signed()
    states = [borrower.draw(borrower.agreed.contract_id, 100_000).state for _ in range(4)]
    agreed, declined = (
        contract_pb2.DRAWDOWN_STATE_RISK_OK,
        contract_pb2.DRAWDOWN_STATE_DECLINED,
    )
    assert states == [agreed, agreed, agreed, declined]


def test_a_signed_drawdown_goes_on_by_itself_once_servicing_is_back(lender: House) -> None:
    borrower = Borrower(lender).signed()
    drawdown_id = borrower.draw(borrower.agreed.contract_id).drawdown_id
    agreement = contract_pb2.SignDrawdownRequest(
        request_id=rid(), drawdown_id=drawdown_id, code=borrower.send_code()
    )
    lender.stop_one("servicing")
    try:
        with pytest.raises(grpc.RpcError):
            borrower.drawdowns.SignDrawdown(agreement, timeout=0.5)
        assert borrower.drawdown(drawdown_id).state == contract_pb2.DRAWDOWN_STATE_SIGNED
    finally:
        lender.start("servicing")
    wait_until(lambda: borrower.drawdown(drawdown_id).state == PAID, 20, "the payout")
    assert borrower.drawdowns.SignDrawdown(agreement).drawdown.state == PAID
    assert len(borrower.payments()) == 1


def test_a_contract_that_only_the_customer_has_signed_is_sealed_by_itself(lender: House) -> None:
    borrower = Borrower(lender)
    lender.sql(
        "UPDATE contract SET assented_at = now(), cost_table_seconds = 8 WHERE contract_id = :id",
        "origination",
        write=True,
        id=borrower.agreed.contract_id,
    )
    wait_until(lambda: len(borrower.archive()) == 2, 20, "the seal")
    assert borrower.verify().signature_intact


def test_risk_declines_a_drawdown_on_a_frozen_line(lender: House) -> None:
    borrower = Borrower(lender).signed()
    stub = lender.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
    stub.FreezeCreditLine(
        credit_line_pb2.FreezeCreditLineRequest(
            request_id=rid(), line_id=borrower.credit.line_id, reason="early warning"
        )
    )
    drawdown = borrower.draw(borrower.agreed.contract_id)
    assert drawdown.state == contract_pb2.DRAWDOWN_STATE_DECLINED
    assert drawdown.customer_reasons
    with pytest.raises(grpc.RpcError) as refused:
        borrower.sign_drawdown(drawdown.drawdown_id)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "DRAWDOWN_NOT_OPEN")


def test_a_line_frozen_after_risk_agreed_fails_the_drawdown_and_pays_nothing(
    lender: House,
) -> None:
    borrower = Borrower(lender).signed()
    drawdown = borrower.draw(borrower.agreed.contract_id)
    stub = lender.client("servicing", credit_line_pb2_grpc.CreditLineServiceStub)
    stub.FreezeCreditLine(
        credit_line_pb2.FreezeCreditLineRequest(
            request_id=rid(), line_id=borrower.credit.line_id, reason="early warning"
        )
    )
    failed = borrower.sign_drawdown(drawdown.drawdown_id)
    assert failed.state == FAILED
    assert list(failed.customer_reasons) == ["LINE_FROZEN"]
    assert borrower.payments() == []


def test_a_payout_nobody_knows_of_is_paid_once_known(lender: House) -> None:
    borrower = Borrower(lender).signed()
    borrower.script(PAY, borrower.card_token, simulator_pb2.Behaviour(unknown_answers=3))
    drawdown = borrower.draw(borrower.agreed.contract_id)
    signed = borrower.sign_drawdown(drawdown.drawdown_id)
    assert signed.state in (PAYING, PAID)
    wait_until(
        lambda: borrower.drawdown(drawdown.drawdown_id).state == PAID, 30, "the payout to be known"
    )
    (payment,) = borrower.payments()
    assert payment.times_sent == 1


def test_a_failed_payout_fails_the_drawdown_and_frees_the_line(lender: House) -> None:
    borrower = Borrower(lender).signed()
    free = borrower.line().available.minor_units
    borrower.script(PAY, borrower.card_token, simulator_pb2.Behaviour(failure_code="CARD_CLOSED"))
    drawdown = borrower.draw(borrower.agreed.contract_id)
    borrower.sign_drawdown(drawdown.drawdown_id)
    wait_until(
        lambda: borrower.drawdown(drawdown.drawdown_id).state == FAILED, 30, "the payout to fail"
    )
    wait_until(lambda: borrower.line().available.minor_units == free, 15, "the line to be free")


def killed_under_way(
    house: House, call: Callable[..., ResponseT], request: object, after: float
) -> ResponseT:
    """The answer to a call during which origination was killed; asked again where it got lost."""
    with ThreadPoolExecutor(1) as pool:
        answer: Future[ResponseT] = pool.submit(call, request, timeout=30)
        time.sleep(after)
        house.kill("origination")
        house.spawn("origination")
        try:
            return answer.result()
        except grpc.RpcError:
            return call(request)


def test_origination_killed_anywhere_loses_nothing_and_doubles_nothing(lender: House) -> None:
    rng = random.Random(7)
    borrower = Records(lender)
    borrower.verified()
    known_to_risk = "SELECT 1 FROM consent WHERE customer_id = :id HAVING count(*) = 3"
    wait_until(lambda: lender.sql(known_to_risk, "risk", id=borrower.customer_id))

    submit = borrower.applications.SubmitApplication
    application = killed_under_way(
        lender, submit, borrower.application(), rng.uniform(0.02, 0.15)
    ).application
    assert application.state == application_pb2.APPLICATION_STATE_APPROVED

    contract_id = borrower.contract(application.application_id).contract_id
    signature = contract_pb2.SignContractRequest(
        request_id=rid(),
        contract_id=contract_id,
        code=borrower.send_code(),
        cost_table_seconds=8,
    )
    signed = killed_under_way(
        lender, borrower.contracts.SignContract, signature, rng.uniform(0.01, 0.08)
    ).contract
    assert signed.state == contract_pb2.CONTRACT_STATE_SIGNED

    asked = borrower.draw(contract_id)
    agreement = contract_pb2.SignDrawdownRequest(
        request_id=rid(), drawdown_id=asked.drawdown_id, code=borrower.send_code()
    )
    killed_under_way(lender, borrower.drawdowns.SignDrawdown, agreement, rng.uniform(0.03, 0.12))
    get = contract_pb2.GetDrawdownRequest(drawdown_id=asked.drawdown_id)
    wait_until(lambda: borrower.drawdowns.GetDrawdown(get).drawdown.state == PAID, 30)

    assert len(borrower.loans()) == 1
    assert len(borrower.lines()) == 1
    (payment,) = borrower.payments()
    assert (payment.minor_units, payment.times_sent) == (1_000_000, 1)
    filed = [document.type for document in borrower.archive()]
    assert filed == ["APPROVAL_NOTICE", "CONTRACT", "DRAWDOWN_AGREEMENT"]
