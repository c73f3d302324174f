"""The one way in for what happens to a loan: checked, folded, kept, posted and told.

What is dated today and comes after all that happened so far is applied to the loan as it stands.
Anything else, a back-dated event or a reversal, is folded with all the others again, and what that
changes is posted (arithmetic.difference).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection

from tael_runtime.errors import InvalidArgument
from tael_servicing import bookings, events, lines, loan_store, loans
from tael_servicing.arithmetic.checks import check
from tael_servicing.arithmetic.difference import refolded
from tael_servicing.arithmetic.events import LoanEvent, Reversed, order, standing
from tael_servicing.arithmetic.fold import happen, replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.bookings import Batch, with_amounts
from tael_servicing.loans import BRINGS, OWN_ACCOUNT, Contract, Held, Money

PRINCIPAL = ("principal_normal", "principal_overdue", "principal_impaired")
RETURNS_PRINCIPAL = {
    "REPAYMENT_RECEIVED": PRINCIPAL,
    "OVERPAYMENT_APPLIED": PRINCIPAL,
    "GOODS_REFUNDED": PRINCIPAL,
    "GUARANTOR_PAID": PRINCIPAL,
    "ASSET_TAKEN_FOR_DEBT": ("principal_impaired",),
    "PRINCIPAL_WAIVED": ("principal_impaired", "written_off_principal"),
    "RECOVERY_RECEIVED": ("principal",),
    "LOAN_SOLD": (*PRINCIPAL, "written_off_principal"),
}
"""Events after which principal is no longer owed, whoever paid or lost it, and the amounts of it: a
revolving line has it again."""
TAKES_FUNDS = frozenset(("REPAYMENT_RECEIVED", "GOODS_REFUNDED"))
"""Events that pay out of the customer's account whatever no `funds_*` of theirs brings."""


@dataclass(frozen=True)
class Enacted:
    """What an event came to."""

    event: LoanEvent
    before: Held
    after: Held
    postings: Sequence[Posting]
    """As they go to the ledger."""
    request_id: str
    """Of the outgoing posting that carries them; nothing is sent where there are none."""

    def amount(self, *names: str) -> int:
        """What the event itself moved by amount type, summed."""
        return sum(
            posting.amounts.get(name, 0)
            for posting in self.postings
            if posting.cause == self.event.event_id
            for name in names
        )


def enact(
    transaction: Connection,
    held: Held,
    event: LoanEvent,
    day: date,
    *,
    reference: str = "",
    funds: str = "",
    money: Money = OWN_ACCOUNT,
    checked: bool = True,
    tells: bool = True,
) -> Enacted:
    """Does what the event says to a locked loan that stands on `day`.

    `funds`: the amount type that says where all of the event's money comes from; none where the
    customer's own account pays. `money`: what it brings where that is not all. `checked`: refused
    where the loan forbids it on its value date; money that has come already, and what another past
    brings, is taken as it can be. `tells`: of the loan's new state; a caller that has something to
    tell before that tells it after.

    Raises FailedPrecondition with the arithmetic's reasons; InvalidArgument for a value date after
    the business date or before the loan.
    """
    contract = held.contract
    check_value_date(held, event.value_date, day)
    if checked:
        check(held.terms, standing_on(transaction, held, event.value_date), event)
    step = _step(transaction, held, event, day)
    after = held.after(event.event_id, step.loan)
    loans.record(transaction, contract.loan_id, event, day, reference)
    (after,) = loan_store.save(transaction, after)
    cause, brought = _money(transaction, held, event, funds, money)
    postings = _funded(_as_it_came(step.postings, cause), cause, brought)
    postings = give_back(transaction, contract, postings, day)
    batch = Batch(
        f"loan:{contract.loan_id}:{event.event_id}", contract.book_id, contract.loan_id, day
    )
    after = bookings.post(transaction, batch, after, *postings)
    if tells:
        events.state_changed(transaction, day, held.state, after)
    return Enacted(event, held, after, postings, batch.request_id)


def check_value_date(held: Held, value_date: date, day: date) -> None:
    """Raises FailedPrecondition LOAN_NOT_OPEN; InvalidArgument for a day that the loan has not seen."""
    loans.check_paid_out(held)
    first = held.contract.start_date
    if not first <= value_date <= day:
        raise InvalidArgument(
            "value_date",
            f"is {value_date}; from {first}, when the loan was paid out, to {day}, the business date,"
            " is right",
        )


def standing_on(transaction: Connection, held: Held, day: date) -> Loan:
    """The loan as it stood after all of a day that it has seen, by what is known now."""
    if day == held.loan.business_date:
        return held.loan
    return replay(held.terms, loans.events_of(transaction, held.contract.loan_id), day).loan


def standing_before(transaction: Connection, held: Held, event: LoanEvent) -> Loan:
    """The loan where an event finds it in the order of its day, by what is known now."""
    if order(event) > held.loan.last_event and event.value_date == held.loan.business_date:
        return held.loan
    known = loans.events_of(transaction, held.contract.loan_id)
    earlier = [each for each in standing(known) if order(each) < order(event)]
    return replay(held.terms, earlier, event.value_date).loan


def enact_at_close(
    transaction: Connection,
    loan_ids: Sequence[str],
    batch: Batch,
    make: Callable[[Held, str], LoanEvent],
    reference: str,
) -> list[Posting]:
    """Does to each of many loans what `make` says of it under an event id, at the end of a day whose
    night is accrued; what posts nothing did not happen.
    """
    event_ids = loans.next_event_ids(transaction, loan_ids)
    made: list[tuple[Contract, Posting]] = []
    changed: list[Held] = []
    happened: dict[str, LoanEvent] = {}
    for held in loan_store.load(transaction, loan_ids):
        event = make(held, event_ids[held.contract.loan_id])
        loan, postings = _before_the_night(held, event)
        if postings:
            happened[held.contract.loan_id] = event
            changed.append(replace(held, loan=loan))
            made += [(held.contract, posting) for posting in postings]
    if happened:
        loans.record_many(transaction, batch.business_date, happened, reference)
        loan_store.save(transaction, *changed)
        bookings.post_many(transaction, batch, made)
    return [posting for _, posting in made]


def _before_the_night(held: Held, event: LoanEvent) -> Step:
    """The night of the day is accrued already; the event belongs to the day all the same."""
    loan, postings = happen(held.terms, replace(held.loan, business_date=event.value_date), event)
    last = max(loan.last_event, held.loan.last_event)
    after = replace(loan, business_date=held.loan.business_date, last_event=last)
    return Step(after, postings)


def _step(transaction: Connection, held: Held, event: LoanEvent, day: date) -> Step:
    late = event.value_date < day or isinstance(event, Reversed)
    if not late and order(event) > held.loan.last_event:
        return happen(held.terms, held.loan, event)
    known = loans.events_of(transaction, held.contract.loan_id)
    return refolded(held.terms, known, event, day)


def _money(
    transaction: Connection, held: Held, event: LoanEvent, funds: str, money: Money
) -> tuple[str, Money]:
    """The event that brought, or with a reversal takes back, money, and what it brings."""
    if isinstance(event, Reversed):
        taken = loans.money_of(transaction, held.contract.loan_id, event.target)
        undone = {name: -amount for name, amount in taken.amounts.items()}
        return event.target, Money(undone, taken.owners)
    if not funds:
        return event.event_id, money
    amount: int = getattr(event, "amount", 0)
    return event.event_id, Money({funds: amount})


def _funded(postings: Iterable[Posting], cause: str, money: Money) -> list[Posting]:
    """The postings, the first that the money caused with what it brings."""
    made = list(postings)
    for index, posting in enumerate(made):
        if posting.cause == cause and posting.event in BRINGS:
            brings = with_amounts(posting, **money.amounts)
            made[index] = brings._replace(owners=tuple(money.owners.items()))
            return made
    assert not money.amounts, f"{cause} brings {money.amounts}, and nothing takes it"
    return made


def _as_it_came(postings: Sequence[Posting], cause: str) -> list[Posting]:
    """The postings, where another past spreads money that came before: it still came from where it
    did. Recoveries and a guarantor's money come into the settlement account by themselves, so that
    what takes their place, or gives it up to them, says so.
    """
    short: Counter[str] = Counter()
    for posting in postings:
        if posting.event in TAKES_FUNDS and posting.cause != cause:
            short[posting.cause] += _unfunded(posting)
    made = list(postings)
    for index, posting in enumerate(made):
        if posting.event in TAKES_FUNDS and (more := short.pop(posting.cause, 0)):
            already = posting.amounts.get("funds_transfer", 0)
            made[index] = with_amounts(posting, funds_transfer=already + more)
    return made


def _unfunded(posting: Posting) -> int:
    """What a posting pays of the loan beyond the money it says it brings, minor units."""
    parts = {name: amount for name, amount in posting.amounts.items() if "vat" not in name}
    brought = sum(amount for name, amount in parts.items() if name.startswith("funds_"))
    return sum(parts.values()) - 2 * brought


def give_back(
    transaction: Connection, contract: Contract, postings: Iterable[Posting], day: date
) -> list[Posting]:
    """Frees the lines by principal that came back, or takes it again: by what was repaid those that
    revolve, by what was never lent all. The first posting that brings some says what that adds to
    the commitment (7201). A loan that was bought draws on none.
    """
    made = list(postings)
    if not contract.line_id:
        return made
    for principal_of, free in ((_repaid, lines.restore), (_returned, lines.unuse)):
        bring = [index for index, each in enumerate(made) if principal_of(each)]
        principal = sum(principal_of(made[index]) for index in bring)
        if not principal:
            continue
        line = lines.lock(transaction, contract.line_id)
        freed = free(transaction, line, principal, contract.loan_id, day)
        if freed.movements == line.movements and freed.above == line.above:
            continue
        events.line_changed(transaction, day, *freed.branch)
        change = freed.commitment - line.commitment
        made[bring[0]] = with_amounts(made[bring[0]], commitment=change)
    return made


def frees(postings: Iterable[Posting]) -> bool:
    """Whether `give_back` moves a line for these postings."""
    return any(_repaid(each) or _returned(each) for each in postings)


def _repaid(posting: Posting) -> int:
    names = RETURNS_PRINCIPAL.get(posting.event, ())
    return sum(posting.amounts.get(name, 0) for name in names)


def _returned(posting: Posting) -> int:
    if posting.event != "DISBURSEMENT_CANCELLED":
        return 0
    return posting.amounts.get("principal", 0)
