"""A short run of the simulator, and that it notices what it is there to notice."""

from __future__ import annotations

from datetime import date

import pytest
from ledger.simulation.faults import FAULTS
from ledger.simulation.linearise import Call, NoOrderError, settle
from ledger.simulation.operations import Operation
from ledger.simulation.run import Shape, own_houses, simulate
from ledger.simulation.state import State

from support import day
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb

SEED = 13
"""One in which everything goes wrong within a few steps."""
TODAY = "2026-01-15"


def test_random_calls_and_faults_end_where_the_oracle_ends() -> None:
    with own_houses(2) as houses:
        episode = simulate(houses, SEED, Shape(steps=70, fault_chance=0.2))
    assert set(episode.faults) == set(FAULTS)
    assert len(episode.sent) > 100


def a_book() -> State:
    """A book with one purse that may not be overdrawn, and cash."""
    chart = {
        "1003": ac.GlAccount(
            code="1003", account_class=pb.ACCOUNT_CLASS_ASSET, normal_side=pb.SIDE_DEBIT
        ),
        "2011": ac.GlAccount(
            code="2011", account_class=pb.ACCOUNT_CLASS_LIABILITY, normal_side=pb.SIDE_CREDIT
        ),
    }
    state = State(pb.Book(book_id="b"), date.fromisoformat(TODAY), chart)
    purse = pb.NewAccount(gl_code="2011", limits=pb.AccountLimits(no_debit_balance=True))
    opened = pb.CreateAccountsRequest(request_id="open", book_id="b", accounts=[purse])
    heard = pb.CreateAccountsResponse(
        accounts=[
            pb.Account(
                account_number="2011",
                gl_code="2011",
                account_class=pb.ACCOUNT_CLASS_LIABILITY,
                normal_side=pb.SIDE_CREDIT,
                state=pb.ACCOUNT_STATE_OPEN,
                limits=purse.limits,
            )
        ]
    )
    settle(state, [Call(Operation("CreateAccounts", (opened,)), heard)])
    return state


def pay(request_id: str, amount: int, *, out: bool = False) -> Operation:
    """An entry between cash and the purse."""
    sides = (pb.SIDE_CREDIT, pb.SIDE_DEBIT) if out else (pb.SIDE_DEBIT, pb.SIDE_CREDIT)
    entry = pb.NewEntry(
        event="PAYMENT",
        value_date=day(TODAY),
        lines=[
            pb.PostingLine(account_number=number, side=side, amount=amount)
            for number, side in zip(("1003", "2011"), sides, strict=True)
        ],
    )
    request = pb.PostEntriesRequest(
        request_id=request_id, book_id="b", entries=[entry], atomic=True
    )
    return Operation("PostEntries", (request,))


def posted(sequence: int) -> pb.PostEntriesResponse:
    """The answer of a payment."""
    return pb.PostEntriesResponse(sequences=[sequence])


def test_calls_are_put_in_the_order_that_explains_what_was_heard() -> None:
    state = a_book()
    settle(
        state,
        [
            Call(pay("spend", 70, out=True), posted(2)),
            Call(pay("spend more", 70, out=True), "ACCOUNT_LIMIT"),
            Call(pay("earn", 100), posted(1)),
            Call(pay("earn", 100), posted(1)),
        ],
    )
    assert state.accounts["2011"].credits - state.accounts["2011"].debits == 30


@pytest.mark.parametrize(
    "heard",
    [
        [posted(2), posted(3)],  # overdrawn
        ["ACCOUNT_LIMIT", "ACCOUNT_LIMIT"],  # refused without need
        [posted(3), "ACCOUNT_LIMIT"],  # a gap in the sequence
        [posted(2), "ACCOUNT_FROZEN"],  # another reason
    ],
)
def test_what_no_order_explains_is_noticed(heard: list[pb.PostEntriesResponse | str]) -> None:
    state = a_book()
    settle(state, [Call(pay("earn", 100), posted(1))])
    operations = [pay("spend", 70, out=True), pay("spend more", 70, out=True)]
    with pytest.raises(NoOrderError, match="foretold"):
        settle(state, [Call(*pair) for pair in zip(operations, heard, strict=True)])
