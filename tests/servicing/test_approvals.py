"""What moves money by hand is proposed by one person and approved by another, over gRPC."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.message import Message
from servicing.bank import START, Bank, decimal, every_ten_days

from support import House, load, refusal, rid, violations, wait_until
from tael.servicing.v1 import approval_pb2 as pb
from tael.servicing.v1 import (
    approval_pb2_grpc,
    credit_line_pb2,
    loan_change_pb2,
    loan_change_pb2_grpc,
    loan_pb2,
    portfolio_pb2,
)
from tael_client import Connection, Credentials
from tael_client.values import from_date, money
from tael_runtime.auth import is_by_hand
from tael_runtime.server import RunningService

JWT_KEY = "k" * 32


def office(bank: Bank, who: str) -> approval_pb2_grpc.ApprovalServiceStub:
    """The service as somebody meets it."""
    return bank.house.client("servicing", approval_pb2_grpc.ApprovalServiceStub, caller=who)


def waiver(loan_id: str, penalty: int, **more: Any) -> pb.Operation:
    request = loan_change_pb2.WaiveLoanRequest(loan_id=loan_id, penalty=penalty, **more)
    return pb.Operation(waive_loan=request)


def proposing(operation: pb.Operation, **more: Any) -> pb.ProposeRequest:
    return pb.ProposeRequest(request_id=rid(), operation=operation, reason="hardship", **more)


def propose(bank: Bank, operation: pb.Operation, who: str = "Anna", **more: Any) -> pb.Proposal:
    return office(bank, who).Propose(proposing(operation, **more)).proposal


def approval(proposal: pb.Proposal) -> pb.ApproveRequest:
    return pb.ApproveRequest(request_id=rid(), proposal_id=proposal.proposal_id)


def approve(bank: Bank, proposal: pb.Proposal, who: str = "bert") -> pb.ApproveResponse:
    return office(bank, who).Approve(approval(proposal))


def done(bank: Bank, operation: pb.Operation, answer: Any) -> Any:
    """Proposed and approved: the rpc's own answer."""
    assert approve(bank, propose(bank, operation)).outcome.Unpack(answer)
    return answer


def reason(call: Callable[..., object], *given: object) -> str:
    with pytest.raises(grpc.RpcError) as error:
        call(*given)
    return refusal(error.value)[1]


def listed(bank: Bank, **wanted: Any) -> list[str]:
    answer = office(bank, "carl").ListProposals(pb.ListProposalsRequest(**wanted))
    return [each.proposal_id for each in answer.proposals]


def late(bank: Bank, card: str = "card-late") -> str:
    """A loan that owes penalty: its first instalment is four days past due."""
    bank.fails(card, times=60)
    loan_id = bank.lend(card=card, periods=6).loan_id
    bank.end_days(START + timedelta(days=14))
    return loan_id


def waived(bank: Bank, loan_id: str) -> list[str]:
    """On whose word the loan's waivers are."""
    return [each.reference for each in bank.history(loan_id) if each.kind == "Waived"]


@pytest.fixture(scope="module")
def debtor(new_bank: Callable[..., Bank]) -> tuple[Bank, str]:
    """A bank, and a loan that owes it penalty."""
    bank = new_bank(**every_ten_days())
    return bank, late(bank)


def test_nobody_moves_money_alone_and_with_a_second_person_it_moves_once(
    debtor: tuple[Bank, str],
) -> None:
    bank, loan_id = debtor
    owed = bank.owes(loan_id)["penalty"]
    stub = bank.house.client("servicing", loan_change_pb2_grpc.LoanChangeServiceStub, "anna")
    alone = waiver(loan_id, 5, request_id=rid(), approval="a name she thought of").waive_loan
    assert reason(stub.WaiveLoan, alone) == "FOUR_EYES_REQUIRED"
    request = proposing(waiver(loan_id, 5))
    assert reason(office(bank, "").Propose, request) == "CALLER_UNNAMED"
    asked = office(bank, "Anna").Propose(request)
    assert office(bank, "Anna").Propose(request) == asked
    outlook = loan_change_pb2.WaiveLoanResponse()
    assert asked.outlook.Unpack(outlook)
    assert outlook.loan.balances.penalty == owed - 5
    assert bank.owes(loan_id)["penalty"] == owed, "a rehearsal leaves nothing"

    assert reason(approve, bank, asked.proposal, "") == "CALLER_UNNAMED"
    for herself in ("Anna", "anna", " ANNA "):
        assert reason(approve, bank, asked.proposal, herself) == "MAKER_IS_CHECKER"
    word = approval(asked.proposal)
    first = office(bank, "bert").Approve(word)
    assert office(bank, "bert").Approve(word) == first
    for late_comer in ("bert", "carl"):
        assert reason(approve, bank, asked.proposal, late_comer) == "PROPOSAL_NOT_OPEN"

    outcome = loan_change_pb2.WaiveLoanResponse()
    assert first.outcome.Unpack(outcome)
    assert outcome.loan.balances.penalty == bank.owes(loan_id)["penalty"] == owed - 5
    assert waived(bank, loan_id) == [asked.proposal.proposal_id]
    assert (first.proposal.maker, first.proposal.decided_by) == ("Anna", "bert")
    assert first.proposal.state == pb.PROPOSAL_STATE_APPROVED
    bank.assert_books_agree()


def test_of_many_who_approve_at_once_one_does_it(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    proposal = propose(bank, waiver(loan_id, 1))
    before = len(waived(bank, loan_id))

    def word(who: str) -> str:
        try:
            return approve(bank, proposal, who).proposal.decided_by
        except grpc.RpcError as error:
            return refusal(error)[1]

    with ThreadPoolExecutor(8) as pool:
        words = list(pool.map(word, [f"checker-{number}" for number in range(8)]))
    assert sorted(words)[:-1] == ["PROPOSAL_NOT_OPEN"] * 7
    assert len(waived(bank, loan_id)) == before + 1


def test_an_approval_given_twice_for_two_proposals_is_refused(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    word = approval(propose(bank, waiver(loan_id, 1)))
    office(bank, "bert").Approve(word)
    word.proposal_id = propose(bank, waiver(loan_id, 1)).proposal_id
    assert reason(office(bank, "bert").Approve, word) == "REQUEST_ID_REUSED"


def test_what_is_refused_is_refused_when_it_is_proposed(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    for wrong, why in (
        (waiver(loan_id, 10_000_000), "WAIVER_EXCEEDS_DUE"),
        (waiver("ln_nobody", 5), "RESOURCE_NOT_FOUND"),
    ):
        assert reason(propose, bank, wrong) == why
    for wrong, field in (
        (waiver(loan_id, -5), "penalty"),
        (waiver(loan_id, 5, approval="mine"), "approval"),
        (waiver(loan_id, 5, request_id="mine"), "request_id"),
        (waiver("", 5), "loan_id"),
        (pb.Operation(), "operation.request"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            propose(bank, wrong)
        assert field in violations(error.value)


def test_what_a_loan_no_longer_allows_is_refused_with_the_reason_and_stays_open(
    debtor: tuple[Bank, str],
) -> None:
    bank, loan_id = debtor
    all_of_it = propose(bank, waiver(loan_id, bank.owes(loan_id)["penalty"]))
    approve(bank, propose(bank, waiver(loan_id, 1)))
    assert reason(approve, bank, all_of_it) == "WAIVER_EXCEEDS_DUE"
    assert all_of_it.proposal_id in listed(bank, state=pb.PROPOSAL_STATE_OPEN, loan_id=loan_id)
    declined = pb.DeclineRequest(
        request_id=rid(), proposal_id=all_of_it.proposal_id, reason="less is left"
    )
    assert reason(office(bank, "aNNa").Decline, declined) == "MAKER_IS_CHECKER"
    told = office(bank, "bert").Decline(declined).proposal
    assert (told.state, told.decision_reason) == (pb.PROPOSAL_STATE_DECLINED, "less is left")
    assert reason(approve, bank, all_of_it, "carl") == "PROPOSAL_NOT_OPEN"


def test_its_maker_alone_withdraws_a_proposal(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    proposal = propose(bank, waiver(loan_id, 1))
    back = pb.WithdrawRequest(
        request_id=rid(), proposal_id=proposal.proposal_id, reason="a slip of the pen"
    )
    assert reason(office(bank, "bert").Withdraw, back) == "NOT_THE_MAKER"
    told = office(bank, "anna").Withdraw(back).proposal
    assert told.state == pb.PROPOSAL_STATE_WITHDRAWN
    assert reason(approve, bank, proposal) == "PROPOSAL_NOT_OPEN"


def test_proposals_are_found_by_loan_and_customer_page_by_page(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    customer = bank.loan(loan_id).customer_id
    made = [propose(bank, waiver(loan_id, 1)).proposal_id for _ in range(3)]
    everything = listed(bank, loan_id=loan_id)
    assert everything[-3:] == made
    assert listed(bank, customer_id=customer) == everything
    assert listed(bank, customer_id="cu-nobody") == []
    paged: list[str] = []
    request = pb.ListProposalsRequest(loan_id=loan_id, page_size=2)
    while True:
        answer = office(bank, "carl").ListProposals(request)
        paged += [each.proposal_id for each in answer.proposals]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert paged == everything


def test_a_proposal_that_nobody_decides_expires(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    bank.house.set_clock("2026-02-01T10:00")
    proposal = propose(bank, waiver(loan_id, 1), valid_days=2)
    bank.house.set_clock("2026-02-03T10:00")
    assert reason(approve, bank, proposal) == "PROPOSAL_EXPIRED"
    assert proposal.proposal_id in listed(bank, state=pb.PROPOSAL_STATE_EXPIRED)
    assert proposal.proposal_id not in listed(bank, state=pb.PROPOSAL_STATE_OPEN)


def test_lines_loans_classes_and_policies_come_by_the_same_way(bank: Bank) -> None:
    """What an operation makes is there after its approval, and was not after its rehearsal."""
    granted = done(
        bank,
        pb.Operation(
            grant_credit_line=credit_line_pb2.GrantCreditLineRequest(
                customer_id="cu-by-hand",
                product_code=bank.product,
                limit=money(2_000_000),
                revolving=True,
                annual_rate=decimal("0.12"),
                valid_to=from_date(date(2027, 1, 15)),
            )
        ),
        credit_line_pb2.GrantCreditLineResponse(),
    ).line
    request = bank.disbursement(granted.line_id, "card-by-hand", request_id="")
    wanted = propose(bank, pb.Operation(disburse_loan=request))
    assert wanted.customer_id == "cu-by-hand"
    assert bank.line(granted.line_id) == (0, 0, 2_000_000)
    outcome = loan_pb2.DisburseLoanResponse()
    assert approve(bank, wanted).outcome.Unpack(outcome)
    assert outcome.loan.state == loan_pb2.LOAN_STATE_NORMAL
    assert len(bank.payments("card-by-hand")) == 1
    less = credit_line_pb2.AdjustCreditLineRequest(
        line_id=granted.line_id, limit=money(1_500_000), reason="a smaller shop"
    )
    operation = pb.Operation(adjust_credit_line=less)
    assert done(bank, operation, credit_line_pb2.AdjustCreditLineResponse()).line.line_id
    assert bank.line(granted.line_id) == (1_000_000, 0, 500_000)
    worse = portfolio_pb2.OverrideClassRequest(
        loan_id=outcome.loan.loan_id,
        risk_class=portfolio_pb2.RISK_CLASS_SPECIAL_MENTION,
        reason="the watch-list",
    )
    operation = pb.Operation(override_class=worse)
    judged = done(bank, operation, portfolio_pb2.OverrideClassResponse()).loan
    assert judged.cause == "WORSENED"
    policy = portfolio_pb2.SetImpairmentPolicyRequest(
        book_id=bank.book,
        policy=portfolio_pb2.ImpairmentPolicy(loss_given_default=decimal("0.7")),
        effective_from=from_date(bank.day),
        reason="a worse year",
    )
    operation = pb.Operation(set_impairment_policy=policy)
    in_force = done(bank, operation, portfolio_pb2.SetImpairmentPolicyResponse()).policy
    assert in_force.loss_given_default.value == "0.7"
    bank.assert_books_agree()


def test_everything_by_hand_can_be_proposed_and_nothing_else() -> None:
    by_hand = {
        method.input_type.name
        for module in _contracts()
        for service in module.services_by_name.values()
        for method in service.methods
        if is_by_hand(f"/{service.full_name}/{method.name}")
    }
    assert len(by_hand) > 25
    assert {field.message_type.name for field in pb.Operation.DESCRIPTOR.fields} == by_hand


def _contracts() -> Iterator[Any]:
    operation = pb.Operation.DESCRIPTOR
    yield from {
        field.message_type.file.name: field.message_type.file for field in operation.fields
    }.values()


def test_who_may_propose_and_approve_an_operation_is_whose_roles_allow_its_rpc(
    debtor: tuple[Bank, str], tmp_path: Path
) -> None:
    bank, loan_id = debtor
    policy = tmp_path / "policy.csv"
    policy.write_text(
        "p, service, /tael.servicing.v1.*\n"
        "p, clerk, /tael.servicing.v1.ApprovalService/*\n"
        "p, head, /tael.servicing.v1.ApprovalService/*\n"
        "p, head, /tael.servicing.v1.LoanChangeService/*\n"
    )
    settings = bank.house.settings.model_copy(
        update={
            "jwt_key": JWT_KEY,
            "policy_file": policy,
            "servicing": bank.house.settings.servicing.model_copy(update={"listen": "127.0.0.1:0"}),
        }
    )
    running = RunningService(load("servicing"), settings)

    def stub(make: Callable[[grpc.Channel], Any], who: str, *roles: str) -> Any:
        claims = {"sub": who, "roles": list(roles), "exp": time.time() + 60}
        token = jwt.encode(claims, JWT_KEY, "HS256")
        return Connection(running.address, Credentials(token=token)).stub(make)

    try:
        own = approval_pb2_grpc.ApprovalServiceStub
        changes = loan_change_pb2_grpc.LoanChangeServiceStub
        direct = waiver(loan_id, 1, request_id=rid(), approval="ap-1").waive_loan
        assert reason(stub(changes, "eva", "head").WaiveLoan, direct) == "FOUR_EYES_REQUIRED"
        assert stub(changes, "collections", "service").WaiveLoan(direct).loan.loan_id == loan_id
        wanted = proposing(waiver(loan_id, 1))
        assert reason(stub(own, "carl", "clerk").Propose, wanted) == "PERMISSION_DENIED"
        word = approval(stub(own, "eva", "head").Propose(wanted).proposal)
        assert reason(stub(own, "carl", "clerk").Approve, word) == "PERMISSION_DENIED"
        assert stub(own, "frida", "head").Approve(word).proposal.decided_by == "frida"
    finally:
        running.stop(grace=1)


def test_an_operation_is_sealed_where_it_is_kept(debtor: tuple[Bank, str]) -> None:
    bank, loan_id = debtor
    proposal = propose(bank, waiver(loan_id, 1))
    query = "SELECT operation FROM proposal WHERE proposal_id = :id"
    ((kept,),) = bank.house.sql(query, "servicing", id=proposal.proposal_id)
    assert loan_id.encode() not in bytes(kept)
    assert proposal.operation.waive_loan.loan_id == loan_id


def test_killed_at_any_moment_an_approval_is_carried_out_once(data_dir: Path) -> None:
    dice = random.Random(7)
    with House(data_dir) as house:
        house.spawn("simulators", "ledger", "servicing")
        bank = Bank(house, **every_ten_days())
        loan_id = late(bank)
        word = approval(propose(bank, waiver(loan_id, 5)))
        for _ in range(3):
            asked = _beside(lambda: office(bank, "bert").Approve(word, timeout=20))
            time.sleep(dice.uniform(0, 0.06))
            house.kill("servicing")
            house.spawn("servicing")
            asked.exception(timeout=30)
        answer = wait_until(lambda: _answer(bank, word), 60, "an answer")
        assert answer.proposal.state == pb.PROPOSAL_STATE_APPROVED
        assert waived(bank, loan_id) == [word.proposal_id]


def _beside(call: Callable[[], Message]) -> Future[Message]:
    """Asks once, beside the test; what becomes of it does not matter."""
    pool = ThreadPoolExecutor(1)
    asked = pool.submit(call)
    pool.shutdown(wait=False)
    return asked


def _answer(bank: Bank, word: pb.ApproveRequest) -> pb.ApproveResponse | None:
    try:
        return office(bank, "bert").Approve(word)
    except grpc.RpcError:
        return None
