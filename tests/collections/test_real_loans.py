"""Real loans in arrears: reminded, promised and paid, or written off and recovered."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from collections_support import MAIN, Lender, case_of, texts

from support import refusal, rid, wait_until
from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc as rpc
from tael.ledger.v1 import proof_pb2, proof_pb2_grpc
from tael.servicing.v1 import loan_pb2, repayment_pb2, repayment_pb2_grpc
from tael_client.values import from_date, money


class Desk:
    """The people who write off."""

    def __init__(self, lender: Lender, maker: str = "maker") -> None:
        client = lender.house.client
        self.maker = client("collections", rpc.WriteOffServiceStub, maker)
        self.checker = client("collections", rpc.WriteOffServiceStub, "checker")

    def propose(self, case: pb.Case, loan_id: str) -> pb.WriteOff:
        return self.maker.ProposeWriteOff(
            pb.ProposeWriteOffRequest(
                request_id=rid(),
                case_id=case.case_id,
                loan_id=loan_id,
                evidence=["no property found", "pursued 180 days"],
            )
        ).write_off

    def approval(self, proposed: pb.WriteOff, approve: bool = True) -> pb.ApproveWriteOffRequest:
        return pb.ApproveWriteOffRequest(
            request_id=rid(), write_off_id=proposed.write_off_id, approve=approve
        )

    def recover(self, case: pb.Case, loan_id: str, amount: int) -> pb.RecordRecoveryResponse:
        return self.checker.RecordRecovery(
            pb.RecordRecoveryRequest(
                request_id=rid(), case_id=case.case_id, loan_id=loan_id, amount=money(amount)
            )
        )


def reason(caught: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    return refusal(caught.value)[1]


def test_a_loan_goes_from_arrears_to_recovery(lender: Lender) -> None:
    desk = Desk(lender)
    debtor = lender.debtor(1)
    case = case_of(lender.house, debtor.customer_id)
    with pytest.raises(grpc.RpcError) as caught:
        desk.propose(case, debtor.loan_id)
    assert reason(caught) == "NOT_NON_ACCRUAL"
    with pytest.raises(grpc.RpcError) as caught:
        desk.propose(case, lender.borrower().loan_id)
    assert reason(caught) == "LOAN_NOT_IN_CASE"
    with pytest.raises(grpc.RpcError) as caught:
        desk.recover(case, debtor.loan_id, 100)
    assert reason(caught) == "NOT_WRITTEN_OFF"
    lender.end_days(2)

    agencies = lender.house.client("collections", rpc.AgencyServiceStub)
    agency = agencies.RegisterAgency(
        pb.RegisterAgencyRequest(request_id=rid(), name="Hengxin", commission_basis_points=2_500)
    ).agency
    agencies.PlaceCase(
        pb.PlaceCaseRequest(
            request_id=rid(), case_id=case.case_id, agency_id=agency.agency_id, days=30
        )
    )
    with pytest.raises(grpc.RpcError) as caught:
        Desk(lender, maker="").propose(case, debtor.loan_id)
    assert reason(caught) == "CALLER_UNNAMED"
    proposed = desk.propose(case, debtor.loan_id)
    assert (proposed.state, proposed.maker) == (pb.WRITE_OFF_STATE_PROPOSED, "maker")
    assert case_of(lender.house, debtor.customer_id).status == pb.CASE_STATUS_WRITE_OFF_PENDING
    with pytest.raises(grpc.RpcError) as caught:
        desk.propose(case, debtor.loan_id)
    assert reason(caught) == "WRITE_OFF_EXISTS"
    with pytest.raises(grpc.RpcError) as caught:
        desk.maker.ApproveWriteOff(desk.approval(proposed))
    assert reason(caught) == "MAKER_IS_CHECKER"

    approval = desk.approval(proposed)
    posted = desk.checker.ApproveWriteOff(approval).write_off
    assert (posted.state, posted.checker) == (pb.WRITE_OFF_STATE_POSTED, "checker")
    assert posted.principal == money(1_000_000)
    assert desk.checker.ApproveWriteOff(approval).write_off == posted
    with pytest.raises(grpc.RpcError) as caught:
        desk.checker.ApproveWriteOff(desk.approval(proposed))
    assert reason(caught) == "WRITE_OFF_DECIDED"
    case = case_of(lender.house, debtor.customer_id)
    assert (case.status, case.loans[0].principal) == (pb.CASE_STATUS_RECOVERY, 0)
    claim = case.amount_past_due.minor_units
    assert claim > 1_000_000

    lender.end_days(1)
    assert case_of(lender.house, debtor.customer_id).status == pb.CASE_STATUS_RECOVERY
    recovered = desk.recover(case, debtor.loan_id, 100_001)
    assert (recovered.principal, recovered.interest) == (100_001, 0)
    assert recovered.commission == 25_000
    assert recovered.case.amount_past_due.minor_units == claim - 100_001
    rest = desk.recover(case, debtor.loan_id, claim - 100_001)
    assert rest.principal + rest.interest == claim - 100_001
    assert rest.case.status == pb.CASE_STATUS_CLOSED
    proof = lender.house.client("ledger", proof_pb2_grpc.ProofServiceStub)
    parts = list(proof.Prove(proof_pb2.ProveRequest(book_id=MAIN)))
    assert [part.finding for part in parts if part.HasField("finding")] == []


def test_a_silent_debtor_was_reminded_before_on_and_after_the_day(lender: Lender) -> None:
    debtor = lender.debtor(1)
    due = lender.today - timedelta(days=1)
    wait_until(lambda: len(texts(lender.house, debtor.mobile)) == 4, what="four reminders")
    sent = texts(lender.house, debtor.mobile)
    announced = f"将于{due.year}年{due.month}月{due.day}日到期"
    assert [announced in text for text in sent] == [True, True, True, False]
    assert "已逾期1天" in sent[3]


def test_a_promise_is_kept_by_a_repayment_that_ends_the_case(lender: Lender) -> None:
    debtor = lender.debtor(1)
    case = case_of(lender.house, debtor.customer_id)
    owed = case.amount_past_due
    stub = lender.house.client("collections", rpc.PromiseServiceStub)
    stub.RecordPromise(
        pb.RecordPromiseRequest(
            request_id=rid(),
            case_id=case.case_id,
            amount=owed,
            due_date=from_date(lender.today + timedelta(days=1)),
        )
    )
    repayments = lender.house.client("servicing", repayment_pb2_grpc.RepaymentServiceStub)
    repayments.Repay(
        repayment_pb2.RepayRequest(request_id=rid(), loan_id=debtor.loan_id, amount=owed)
    )
    wait_until(lambda: case_of(lender.house, debtor.customer_id).status == pb.CASE_STATUS_CLOSED)
    (kept,) = stub.ListPromises(pb.ListPromisesRequest(case_id=case.case_id)).promises
    assert (kept.state, kept.received) == (pb.PROMISE_STATE_KEPT, owed.minor_units)


def test_a_refused_proposal_may_be_made_again(lender: Lender) -> None:
    desk = Desk(lender)
    debtor = lender.debtor(3)
    case = case_of(lender.house, debtor.customer_id)
    proposed = desk.propose(case, debtor.loan_id)
    refused = desk.checker.ApproveWriteOff(desk.approval(proposed, approve=False)).write_off
    assert refused.state == pb.WRITE_OFF_STATE_REFUSED
    assert not refused.HasField("principal")
    again = desk.propose(case, debtor.loan_id)
    assert again.write_off_id != proposed.write_off_id
    read = desk.maker.GetWriteOff(pb.GetWriteOffRequest(write_off_id=again.write_off_id))
    assert read.write_off == again


def test_approval_and_recovery_outlive_servicings_silence_and_kills_and_are_booked_once(
    lender: Lender,
) -> None:
    desk = Desk(lender)
    debtor = lender.debtor(3)
    proposed = desk.propose(case_of(lender.house, debtor.customer_id), debtor.loan_id)
    lender.house.stop_one("servicing")
    approved = desk.checker.ApproveWriteOff(desk.approval(proposed)).write_off
    assert approved.state == pb.WRITE_OFF_STATE_APPROVED
    lender.house.kill("collections")
    lender.house.start("servicing")
    lender.house.spawn("collections")
    request = pb.GetWriteOffRequest(write_off_id=proposed.write_off_id)
    wait_until(lambda: desk.maker.GetWriteOff(request).write_off.state == pb.WRITE_OFF_STATE_POSTED)
    loan = lender.loans.GetLoan(loan_pb2.GetLoanRequest(loan_id=debtor.loan_id)).loan
    assert loan.state == loan_pb2.LOAN_STATE_WRITTEN_OFF
    assert loan.balances.written_off_principal == 1_000_000

    recovery = pb.RecordRecoveryRequest(
        request_id=rid(),
        case_id=proposed.case_id,
        loan_id=debtor.loan_id,
        amount=money(12_345),
    )
    lender.house.stop_one("servicing")
    with pytest.raises(grpc.RpcError):
        desk.checker.RecordRecovery(recovery, timeout=1)
    lender.house.kill("collections")
    lender.house.start("servicing")
    lender.house.spawn("collections")
    assert desk.checker.RecordRecovery(recovery).principal == 12_345
    loan = lender.loans.GetLoan(loan_pb2.GetLoanRequest(loan_id=debtor.loan_id)).loan
    assert loan.balances.written_off_principal == 1_000_000 - 12_345
