"""What people do to a book by hand is proposed by one and approved by another, over gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from ledger.forcing import force
from ledger.ledger_case import FIRST_DAY, LedgerUnderTest, lines
from ledger.posting_case import (
    CASH,
    WALLET,
    account,
    cr,
    dr,
    entry,
    get,
    limit,
    pay_in,
    pay_out,
    post,
    refused,
    reverse,
    turn,
)
from sqlalchemy.exc import DBAPIError

from support import day, load, refusal, rid, violations
from tael.ledger.v1 import approval_pb2 as ap
from tael.ledger.v1 import approval_pb2_grpc, ledger_pb2_grpc, proof_pb2_grpc
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr
from tael_client import Connection, Credentials
from tael_runtime.auth import is_by_hand
from tael_runtime.server import RunningService

JWT_KEY = "k" * 32
WHY = '错账 "E19" \\ in red\t\x1f'
"""With what JSON writes in another way."""
SYSTEMS_ONLY = {
    "PostColumns",
    "ImportOpeningBalances",
    "RecordEventColumns",
    "CommitReservation",
}
"""What comes in streams or from a reservation: people propose the entries."""


def office(book: LedgerUnderTest, who: str) -> approval_pb2_grpc.ApprovalServiceStub:
    """The service as somebody meets it."""
    return book.house.client("ledger", approval_pb2_grpc.ApprovalServiceStub, caller=who)


def posting(*entries: pb.NewEntry, **more: Any) -> ap.Operation:
    return ap.Operation(post_entries=pb.PostEntriesRequest(entries=entries, **more))


def red_ink(sequence: int, **more: Any) -> ap.Operation:
    return ap.Operation(reverse_entry=pb.ReverseEntryRequest(sequence=sequence, **more))


def proposing(book: LedgerUnderTest, operation: ap.Operation) -> ap.ProposeRequest:
    return ap.ProposeRequest(
        request_id=rid(), book_id=book.book_id, operation=operation, reason=WHY
    )


def propose(book: LedgerUnderTest, operation: ap.Operation, who: str = "Anna") -> ap.Proposal:
    return office(book, who).Propose(proposing(book, operation)).proposal


def approval(proposal: ap.Proposal) -> ap.ApproveRequest:
    return ap.ApproveRequest(
        request_id=rid(), book_id=proposal.book_id, proposal_id=proposal.proposal_id
    )


def approve(book: LedgerUnderTest, proposal: ap.Proposal, who: str = "bert") -> ap.ApproveResponse:
    return office(book, who).Approve(approval(proposal))


def decline(book: LedgerUnderTest, proposal: ap.Proposal, who: str = "bert") -> ap.Proposal:
    request = ap.DeclineRequest(
        request_id=rid(),
        book_id=book.book_id,
        proposal_id=proposal.proposal_id,
        reason=f"no: {WHY}",
    )
    return office(book, who).Decline(request).proposal


def withdraw(book: LedgerUnderTest, proposal: ap.Proposal, who: str = "anna") -> ap.Proposal:
    request = ap.WithdrawRequest(
        request_id=rid(), book_id=book.book_id, proposal_id=proposal.proposal_id, reason="a slip"
    )
    return office(book, who).Withdraw(request).proposal


def told(book: LedgerUnderTest, proposal: ap.Proposal) -> ap.Proposal:
    request = ap.GetProposalRequest(book_id=book.book_id, proposal_id=proposal.proposal_id)
    return office(book, "carl").GetProposal(request).proposal


def listed(book: LedgerUnderTest, **wanted: Any) -> list[int]:
    """Ids, page by page of two."""
    found: list[int] = []
    request = ap.ListProposalsRequest(book_id=book.book_id, page_size=2, **wanted)
    while True:
        answer = office(book, "carl").ListProposals(request)
        found += [each.proposal_id for each in answer.proposals]
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


def posting_of(book: LedgerUnderTest, sequence: int) -> pb.Posting:
    request = pb.GetEntryRequest(book_id=book.book_id, sequence=sequence)
    return book.ledger.GetEntry(request).posting


def test_a_voucher_in_red_ink_has_a_maker_and_a_checker_and_is_posted_once(
    book: LedgerUnderTest,
) -> None:
    """E19: 红字冲销 with its reason, by two people."""
    post(book, pay_in(500))
    book.close_day(FIRST_DAY)
    alone = book.house.client("ledger", ledger_pb2_grpc.LedgerServiceStub, caller="Anna")
    direct = pb.ReverseEntryRequest(
        request_id=rid(), book_id=book.book_id, sequence=1, reason="mine"
    )
    assert refused(lambda: alone.ReverseEntry(direct)) == "FOUR_EYES_REQUIRED"

    request = proposing(book, red_ink(1))
    assert refused(lambda: office(book, "").Propose(request)) == "CALLER_UNNAMED"
    asked = office(book, "Anna").Propose(request)
    assert office(book, "Anna").Propose(request) == asked
    assert asked.proposal.state == ap.PROPOSAL_STATE_PROPOSED
    assert book.balance(WALLET) == 500, "a proposal moves nothing"

    assert refused(lambda: approve(book, asked.proposal, "")) == "CALLER_UNNAMED"
    for herself in ("Anna", "anna", " ANNA "):
        assert refused(lambda who=herself: approve(book, asked.proposal, who)) == "MAKER_IS_CHECKER"
    word = approval(asked.proposal)
    first = office(book, "bert").Approve(word)
    assert office(book, "bert").Approve(word) == first
    assert office(book, "Anna").Propose(request) == asked, "as it was answered then"
    for late_comer in ("bert", "carl"):
        late = refused(lambda who=late_comer: approve(book, asked.proposal, who))
        assert late == "PROPOSAL_NOT_OPEN"

    (voucher,) = first.entries
    assert lines(voucher) == {CASH: ("Dr", -500), WALLET: ("Cr", -500)}
    assert (voucher.sequence, voucher.reversal_of, voucher.narrative) == (2, 1, WHY)
    assert get(book, 2) == voucher
    assert book.balance(WALLET) == 0
    posted = posting_of(book, 2)
    assert (posted.rpc, posted.caller) == ("Approve", "bert")
    assert posted.approval == pb.Approval(
        proposal_id=asked.proposal.proposal_id, maker="Anna", checker="bert", reason=WHY
    )
    assert not posting_of(book, 1).HasField("approval")
    assert first.proposal == told(book, asked.proposal)
    assert (first.proposal.decided_by, first.proposal.first_sequence) == ("bert", 2)
    assert first.proposal.decided_at == posted.committed_at
    assert book.findings() == []


def test_each_operation_by_hand_does_what_its_rpc_does(book: LedgerUnderTest) -> None:
    made = approve(book, propose(book, posting(pay_in(5), pay_in(7, source="s"))))
    assert [one.sequence for one in made.entries] == [1, 2]
    assert book.balance(WALLET) == 12
    many = posting(*(entry(*[dr(CASH, 1), cr(WALLET, 1)] * 500) for _ in range(4)))
    large = propose(book, many)
    assert large.operation.ByteSize() > 1 << 16
    in_list = office(book, "carl").ListProposals(ap.ListProposalsRequest(book_id=book.book_id))
    assert [each.HasField("operation") for each in in_list.proposals] == [True, False]
    assert told(book, large) == large
    assert [one.sequence for one in approve(book, large).entries] == [3, 4, 5, 6]

    accrued = book.event("INTEREST_ACCRUED", interest=323, status=pb.ACCRUAL_STATUS_ACCRUAL)
    operation = ap.Operation(record_events=pb.RecordEventsRequest(events=[accrued]))
    (recorded,) = approve(book, propose(book, operation)).entries
    assert (recorded.event, recorded.rules_version) == ("INTEREST_ACCRUED", 1)

    turn(book, "Freeze", WALLET)
    thaw = ap.Operation(unfreeze_account=pb.UnfreezeAccountRequest(account_number=WALLET))
    done = approve(book, propose(book, thaw))
    assert (list(done.entries), done.proposal.first_sequence) == ([], 0)
    assert account(book, WALLET).state == pb.ACCOUNT_STATE_OPEN
    post(book, pay_out(2012))
    end = ap.Operation(close_account=pb.CloseAccountRequest(account_number=WALLET))
    approve(book, propose(book, end))
    assert account(book, WALLET).state == pb.ACCOUNT_STATE_CLOSED
    assert book.findings() == []


def test_what_is_refused_is_refused_when_it_is_proposed(book: LedgerUnderTest) -> None:
    post(book, pay_in(5))
    limit(book, WALLET, no_debit_balance=True)
    turn(book, "Freeze", CASH)
    head = book.proof.GetHead(pr.GetHeadRequest(book_id=book.book_id))
    for wrong, why in (
        (posting(entry(dr(CASH, 5), cr(WALLET, 6))), "UNBALANCED_ENTRY"),
        (posting(entry(dr(WALLET, 6), cr("1003", 6))), "ACCOUNT_LIMIT"),
        (posting(pay_in(5)), "ACCOUNT_FROZEN"),
        (posting(pay_in(5, value_date="2026-02-01")), "VALUE_DATE_IN_FUTURE"),
        (red_ink(1), "ACCOUNT_FROZEN"),
        (red_ink(7), "RESOURCE_NOT_FOUND"),
        (red_ink(1, booking_date=day("2026-01-14")), "DAY_CLOSED"),
        (
            ap.Operation(close_account=pb.CloseAccountRequest(account_number=WALLET)),
            "ACCOUNT_NOT_ZERO",
        ),
        (
            ap.Operation(unfreeze_account=pb.UnfreezeAccountRequest(account_number=WALLET)),
            "ACCOUNT_NOT_FROZEN",
        ),
    ):
        assert refused(lambda operation=wrong: propose(book, operation)) == why
    for wrong, field in (
        (posting(), "entries"),
        (posting(entry(dr(CASH, 5))), "entries[0].lines"),
        (red_ink(1, reason="another"), "reason"),
        (red_ink(1, request_id="mine"), "request_id"),
        (red_ink(1, book_id=book.book_id), "book_id"),
        (ap.Operation(), "operation.request"),
    ):
        with pytest.raises(grpc.RpcError) as error:
            propose(book, wrong)
        assert field in violations(error.value)
    assert listed(book) == []
    assert book.proof.GetHead(pr.GetHeadRequest(book_id=book.book_id)) == head


def test_what_can_no_longer_be_done_is_refused_with_the_reason_and_waits_on(
    book: LedgerUnderTest,
) -> None:
    post(book, pay_in(5), pay_in(7))
    dated = propose(book, posting(pay_in(1), booking_date=day(FIRST_DAY)))
    back, frozen = propose(book, red_ink(1)), propose(book, red_ink(2))
    reverse(book, 1, pb.REVERSAL_KIND_RED_INK)
    book.close_day(FIRST_DAY)
    turn(book, "Freeze", WALLET)
    assert refused(lambda: approve(book, dated)) == "DAY_CLOSED"
    assert refused(lambda: approve(book, back)) == "ALREADY_REVERSED"
    assert refused(lambda: approve(book, frozen)) == "ACCOUNT_FROZEN"
    waiting = listed(book, state=ap.PROPOSAL_STATE_PROPOSED)
    assert waiting == [one.proposal_id for one in (dated, back, frozen)]
    turn(book, "Unfreeze", WALLET)
    approve(book, frozen)
    assert (book.balance(WALLET), told(book, dated)) == (0, dated)
    assert book.findings() == []


def test_a_proposal_is_declined_by_another_or_withdrawn_by_its_maker(book: LedgerUnderTest) -> None:
    against, back = (propose(book, posting(pay_in(amount))) for amount in (5, 7))
    assert refused(lambda: decline(book, against, "aNNa")) == "MAKER_IS_CHECKER"
    assert refused(lambda: decline(book, against, "")) == "CALLER_UNNAMED"
    assert refused(lambda: withdraw(book, back, "bert")) == "NOT_THE_MAKER"
    no = decline(book, against)
    assert (no.state, no.decided_by, no.decision_reason) == (
        ap.PROPOSAL_STATE_DECLINED,
        "bert",
        f"no: {WHY}",
    )
    assert withdraw(book, back).state == ap.PROPOSAL_STATE_WITHDRAWN
    for ended in (against, back):
        for word in (approve, decline):
            assert refused(lambda w=word, e=ended: w(book, e, "carl")) == "PROPOSAL_NOT_OPEN"
    assert listed(book) == [against.proposal_id, back.proposal_id]
    assert listed(book, state=ap.PROPOSAL_STATE_DECLINED) == [against.proposal_id]
    assert book.balance(WALLET) == 0
    assert book.findings() == []


def test_of_many_who_approve_at_once_one_does_it(book: LedgerUnderTest) -> None:
    proposal = propose(book, posting(pay_in(5)))

    def word(who: str) -> str:
        try:
            return approve(book, proposal, who).proposal.decided_by
        except grpc.RpcError as error:
            return refusal(error)[1]

    with ThreadPoolExecutor(8) as pool:
        words = list(pool.map(word, [f"checker-{number}" for number in range(8)]))
    assert sorted(words)[:-1] == ["PROPOSAL_NOT_OPEN"] * 7
    assert book.balance(WALLET) == 5


def test_a_word_given_for_two_proposals_is_refused(book: LedgerUnderTest) -> None:
    word = approval(propose(book, posting(pay_in(5))))
    office(book, "bert").Approve(word)
    word.proposal_id = propose(book, posting(pay_in(7))).proposal_id
    assert refused(lambda: office(book, "bert").Approve(word)) == "REQUEST_ID_REUSED"
    word.proposal_id = 4711
    word.request_id = rid()
    assert refused(lambda: office(book, "bert").Approve(word)) == "RESOURCE_NOT_FOUND"


FORGERIES = {
    "the maker": "UPDATE proposal SET maker = 'eve' WHERE {} AND proposal_id = 2",
    "the checker": "UPDATE proposal SET decided_by = 'eve' WHERE {} AND proposal_id = 2",
    "the reason": "UPDATE proposal SET reason = 'good' WHERE {} AND proposal_id = 2",
    "what was proposed": "UPDATE proposal SET operation = '\\x00' WHERE {} AND proposal_id = 2",
    "the decision": "UPDATE proposal SET state = 'DECLINED' WHERE {} AND proposal_id = 2",
    "the entry": "UPDATE proposal SET sequence = 9 WHERE {} AND proposal_id = 2",
    "all of it": "DELETE FROM proposal WHERE {} AND proposal_id = 2",
}


@pytest.mark.parametrize("what", FORGERIES)
def test_who_proposed_and_who_approved_what_is_kept_by_store_and_chain(
    book: LedgerUnderTest, what: str
) -> None:
    made = propose(book, posting(pay_in(5)))
    assert made.proposal_id == 2
    approve(book, made)
    own = f"book_id = '{book.book_id}'"
    with pytest.raises(DBAPIError, match="never changed"):
        book.house.sql(FORGERIES[what].format(own).replace(":", r"\:"), "ledger", write=True)
    assert book.findings() == []
    force(book, FORGERIES[what])
    assert {check for check, _ in book.findings()} == {"CHECK_RECORDS"}


def test_everything_by_hand_can_be_proposed_and_nothing_else() -> None:
    service = pb.DESCRIPTOR.services_by_name["LedgerService"]
    by_hand = {
        method.name
        for method in service.methods
        if is_by_hand(f"/{service.full_name}/{method.name}")
    }
    proposed = {
        field.message_type.name.removesuffix("Request") for field in ap.Operation.DESCRIPTOR.fields
    }
    assert by_hand == proposed | SYSTEMS_ONLY


def test_who_may_propose_and_approve_an_operation_is_whose_roles_allow_its_rpc(
    book: LedgerUnderTest, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.csv"
    policy.write_text(
        "p, service, /tael.ledger.v1.*\n"
        "p, clerk, /tael.ledger.v1.ApprovalService/*\n"
        "p, head, /tael.ledger.v1.ApprovalService/*\n"
        "p, head, /tael.ledger.v1.LedgerService/*\n"
    )
    settings = book.house.settings.model_copy(
        update={
            "jwt_key": JWT_KEY,
            "policy_file": policy,
            "ledger": book.house.settings.ledger.model_copy(update={"listen": "127.0.0.1:0"}),
        }
    )
    running = RunningService(load("ledger"), settings)

    def stub(make: Callable[[grpc.Channel], Any], who: str, role: str) -> Any:
        claims = {"sub": who, "roles": [role], "exp": time.time() + 60}
        token = jwt.encode(claims, JWT_KEY, "HS256")
        return Connection(running.address, Credentials(token=token)).stub(make)

    try:
        own, direct = approval_pb2_grpc.ApprovalServiceStub, ledger_pb2_grpc.LedgerServiceStub
        request = pb.PostEntriesRequest(
            request_id=rid(), book_id=book.book_id, entries=[pay_in(5)], atomic=True
        )
        alone = stub(direct, "eva", "head")
        assert refused(lambda: alone.PostEntries(request)) == "FOUR_EYES_REQUIRED"
        assert list(stub(direct, "servicing", "service").PostEntries(request).sequences) == [1]
        wanted = proposing(book, posting(pay_in(7)))
        clerk = stub(own, "carl", "clerk")
        assert refused(lambda: clerk.Propose(wanted)) == "PERMISSION_DENIED"
        word = approval(stub(own, "eva", "head").Propose(wanted).proposal)
        assert refused(lambda: clerk.Approve(word)) == "PERMISSION_DENIED"
        assert stub(own, "frida", "head").Approve(word).proposal.decided_by == "frida"
    finally:
        running.stop(grace=1)


def test_an_anchor_before_the_approval_vouches_for_it_too(book: LedgerUnderTest) -> None:
    """The proposal is in the chain before anybody decided."""
    request = proposing(book, posting(pay_in(5)))
    asked = office(book, "Anna").Propose(request)
    done = approve(book, asked.proposal)
    stub = book.house.client("ledger", proof_pb2_grpc.ProofServiceStub)
    verified = stub.VerifyEntry(
        pr.VerifyEntryRequest(book_id=book.book_id, sequence=1, anchor=done.anchor)
    )
    assert verified.included
    assert book.findings(anchor=asked.anchor) == []
