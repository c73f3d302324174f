"""Draws about accounts: opened ahead, limited, frozen, closed; and what is reserved on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ledger.simulation.draws import CASH, WALLETS, World
from ledger.simulation.operations import Operation
from ledger.simulation.state import Account, Reservation

from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date

NO_OVERDRAFT = pb.AccountLimits(no_debit_balance=True)


def open_wallets(world: World) -> Operation:
    """The wallets, which may never be overdrawn, or by so much."""
    limits = [NO_OVERDRAFT, NO_OVERDRAFT, NO_OVERDRAFT, pb.AccountLimits(floor=-5_000)]
    accounts = [
        pb.NewAccount(
            gl_code=number.split(":")[0],
            owner=pb.Owner(owner_type="CUSTOMER", owner_id=number.split(":")[2]),
            limits=limit,
        )
        for number, limit in zip(WALLETS, limits, strict=True)
    ]
    request = pb.CreateAccountsRequest(
        request_id=world.request_id, book_id=world.book_id, accounts=accounts
    )
    return Operation("CreateAccounts", (request,))


def limits_of(world: World) -> pb.AccountLimits:
    """Any, of which some contradict one another."""
    return world.dice.choice(
        (
            pb.AccountLimits(),
            pb.AccountLimits(),
            NO_OVERDRAFT,
            pb.AccountLimits(no_credit_balance=True),
            pb.AccountLimits(floor=-world.dice.randint(1, 20_000_000)),
            pb.AccountLimits(no_debit_balance=True, no_credit_balance=True),
            pb.AccountLimits(no_debit_balance=True, no_credit_balance=True, floor=1),
        )
    )


def create_accounts(world: World) -> Operation:
    """New ones and, rarely, such as are open or of no code."""
    dice = world.dice
    accounts = []
    for _ in range(dice.randint(1, 3)):
        owner_type = dice.choice(("LOAN", "CUSTOMER", ""))
        owner_id = f"N{dice.randint(1, 200)}" if world.chance(0.8) else "L1"
        accounts.append(
            pb.NewAccount(
                gl_code="9999" if world.chance(0.03) else world.gl_code(),
                owner=pb.Owner(owner_type=owner_type, owner_id=owner_id) if owner_type else None,
                limits=limits_of(world) if world.chance(0.3) else None,
            )
        )
    request = pb.CreateAccountsRequest(
        request_id=world.request_id, book_id=world.book_id, accounts=accounts
    )
    return Operation("CreateAccounts", (request,))


def _some_account(world: World, fits: Callable[[Account], bool]) -> str:
    """Mostly an owner's account that fits; else any."""
    fitting = [
        number
        for number, account in world.state.accounts.items()
        if ":" in number and fits(account)
    ]
    if fitting and world.chance(0.8):
        return world.dice.choice(fitting)
    return world.dice.choice((world.dice.choice(WALLETS), world.account_number()))


def set_account_limits(world: World) -> Operation:
    """Of any account; a wallet keeps its own."""
    number = _some_account(world, lambda _: True)
    request = pb.SetAccountLimitsRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        account_number=number,
        limits=NO_OVERDRAFT if number in WALLETS else limits_of(world),
        reason="reviewed",
    )
    return Operation("SetAccountLimits", (request,))


def freeze_account(world: World) -> Operation:
    """An owner's account."""
    number = _some_account(world, lambda account: account.state == pb.ACCOUNT_STATE_OPEN)
    request = pb.FreezeAccountRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        account_number=number if ":" in number else WALLETS[0],
        reason="court order",
    )
    return Operation("FreezeAccount", (request,))


def unfreeze_account(world: World) -> Operation:
    """A frozen one, mostly."""
    request = pb.UnfreezeAccountRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        account_number=_some_account(world, lambda one: one.state == pb.ACCOUNT_STATE_FROZEN),
        reason="lifted",
    )
    return Operation("UnfreezeAccount", (request,))


def close_account(world: World) -> Operation:
    """One at zero, mostly; no wallet."""
    number = _some_account(world, lambda one: one.debits == one.credits)
    request = pb.CloseAccountRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        account_number="2241.03:CUSTOMER:NOBODY" if number in WALLETS else number,
        reason="settled",
    )
    return Operation("CloseAccount", (request,))


def reserve(world: World) -> Operation:
    """A payment from a wallet or into one; rarely one that nobody may make."""
    dice = world.dice
    accounts = dice.sample((*WALLETS, CASH), 2)
    if world.chance(0.1):
        accounts = [world.account_number(), CASH]
    amount = dice.randint(1, 3_000)
    found = [
        pb.PostingLine(account_number=accounts[0], side=pb.SIDE_DEBIT, amount=amount),
        pb.PostingLine(account_number=accounts[1], side=pb.SIDE_CREDIT, amount=amount),
    ]
    fault = dice.random()
    if fault < 0.03:
        found[1].amount += 1
    elif fault < 0.05:
        found[0].amount = found[1].amount = -amount
    request = pb.ReserveRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        event="OPENING_BALANCE" if fault > 0.98 else "PAYMENT",
        expires_on=from_date(
            world.state.business_date + timedelta(days=dice.choice((0, 0, 1, 1, 4, 4, -1)))
        ),
        lines=found,
        source="wallet",
        narrative=dice.choice(("", "card")),
    )
    return Operation("Reserve", (request,))


def _some_reservation(world: World) -> Reservation | None:
    """Mostly one that stands; None where there is none."""
    held = list(world.state.reservations.values())
    standing = [one for one in held if one.state == pb.RESERVATION_STATE_PENDING]
    chosen = standing if standing and world.chance(0.8) else held
    return world.dice.choice(chosen) if chosen else None


def commit_reservation(world: World) -> Operation:
    """Whole, in part, or more than was reserved."""
    dice = world.dice
    reservation = _some_reservation(world)
    request = pb.CommitReservationRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        reservation_id=reservation.reservation_id if reservation else 1,
        value_date=world.day(5, future=0.03) if world.chance(0.3) else None,
    )
    if reservation and world.chance(0.5):
        whole = abs(reservation.lines[0].debit + reservation.lines[0].credit)
        amount = whole + 1 if world.chance(0.1) else dice.randint(1, whole)
        for line in reservation.lines:
            side = pb.SIDE_DEBIT if line.debit else pb.SIDE_CREDIT
            request.lines.add(account_number=line.number, side=side, amount=amount)
    return Operation("CommitReservation", (request,))


def release_reservation(world: World) -> Operation:
    """One that stands, mostly."""
    reservation = _some_reservation(world)
    request = pb.ReleaseReservationRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        reservation_id=reservation.reservation_id if reservation else 1,
    )
    return Operation("ReleaseReservation", (request,))


DRAWS: list[tuple[int, Callable[[World], Operation]]] = [
    (3, create_accounts),
    (2, set_account_limits),
    (2, freeze_account),
    (3, unfreeze_account),
    (1, close_account),
    (9, reserve),
    (8, commit_reservation),
    (3, release_reservation),
]
