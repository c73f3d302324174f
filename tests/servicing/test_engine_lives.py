"""What holds of every loan, whatever happens to it, in whatever order it is learned.

Postings are booked by the ledger's own rules (`ledger_oracle`), so that what a loan says it owes is
held against the accounts after every night and every event.
"""

from __future__ import annotations

import random
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from servicing.ledger_oracle import (
    ADVANCED,
    LOSSES,
    NOT_DUE,
    OUTPUT,
    Books,
    loan_balances,
    received,
)
from servicing.lives import (
    COMMON,
    FIELDS,
    START,
    Life,
    any_terms,
    customers,
    lives,
    principals,
    replanned,
)
from servicing.stories import totals

from tael_runtime.errors import FailedPrecondition
from tael_servicing.arithmetic import day, fold
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.checks import check
from tael_servicing.arithmetic.difference import difference, refolded
from tael_servicing.arithmetic.events import (
    Disbursed,
    LoanEvent,
    Purchased,
    Repaid,
    Reversed,
    Settled,
)
from tael_servicing.arithmetic.loan import Loan, Owed
from tael_servicing.arithmetic.paying import allocate
from tael_servicing.arithmetic.postings import Journal, Posting
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import (
    ACCRUAL_ORDER,
    Excess,
    Method,
    Part,
    Residue,
    Sweep,
    Terms,
)

MANY = settings(max_examples=100, deadline=None)
FEW = settings(max_examples=60, deadline=None)
MONEY = (*fold.MONEY, happened.Recovered, happened.Parked)
LEAVES = {"LOAN_WRITTEN_OFF", "LOAN_SOLD"}
"""What is lost with them is lost gross."""
BRINGS = (
    "REPAYMENT_RECEIVED",
    "GOODS_REFUNDED",
    "GUARANTOR_PAID",
    "RECOVERY_RECEIVED",
    "DISBURSEMENT_RETURNED",
)


def is_tranche_of_a_running_loan(loan: Loan, event: LoanEvent) -> bool:
    return not isinstance(event, Disbursed) or (loan.accruing and loan.current is not None)


def allowed(terms: Terms, loan: Loan, event: LoanEvent) -> bool:
    """Whether a customer or clerk would get the event past the checks today."""
    try:
        check(terms, loan, event)
    except FailedPrecondition:
        return False
    return is_tranche_of_a_running_loan(loan, event)


class Walk:
    """A life walked night by night, its books kept, its invariants held at every step."""

    def __init__(self, life: Life, *, checked: bool) -> None:
        self.terms, self.checked = life.terms, checked
        self.vat_share = Fraction(life.terms.vat_rate) / (1 + Fraction(life.terms.vat_rate))
        first, *self.rest = happened.standing(list(life.events))
        assert isinstance(first, Disbursed | Purchased)
        self.done: list[LoanEvent] = [first]
        self.books = Books()
        self.books.begin(first)
        self.loan, posted = fold.replay(self.terms, [first], START)
        self.postings: list[Posting] = []
        self.book(posted)

    def book(self, posted: tuple[Posting, ...]) -> None:
        self.postings += posted
        self.books.post(posted)
        held = loan_balances(self.terms, self.loan)
        assert self.books.balances() == held, posted
        assert not any(self.books.accounts[code] for code in LOSSES)
        assert held.get("overpayment", 0) >= 0, "nobody is paid back what nobody asks for again"
        if self.checked:
            assert min([0, *held.values()]) == 0, (held, posted)
        self.hold_vat()

    def hold_vat(self) -> None:
        """VAT split off stands where the loan says; nothing of it is left with a loan that ends."""
        accounts, vat = self.books.accounts, self.loan.vat
        not_due = [vat.not_due(part) for part in Part] if vat else [0]
        assert -accounts[NOT_DUE] == sum(not_due)
        assert accounts[ADVANCED] == (vat.advanced if vat else 0)
        if not self.loan.running:
            assert accounts[NOT_DUE] == accounts[ADVANCED] == 0
        if self.checked:
            assert min(not_due) >= 0
            assert accounts[OUTPUT] <= 0
        if not LEAVES & {each.event for each in self.postings}:
            # Rounded sums, one a kind of income.
            gross, taken = self.books.income()
            assert abs(taken - gross * self.vat_share) <= 5

    def walk(self, until: date) -> Walk:
        for event in self.rest:
            self.nights(event.value_date)
            if not self.checked or allowed(self.terms, self.loan, event):
                self.take(event)
        self.nights(until)
        return self

    def nights(self, to: date) -> None:
        while self.loan.business_date < to:
            self.loan, posted = fold.end_day(self.terms, self.loan)
            self.book(posted)

    def pay_to_the_end(self) -> None:
        """All that is due is paid on the day, until nothing is."""
        for number in range(500, 900):
            if not self.loan.running:
                return
            due = self.loan.amount_due
            if due:
                day = self.loan.business_date
                self.take(Repaid(day, f"{number:03}", due, Excess.PARK))
            else:
                self.nights(fold.opens_on(self.terms, self.loan) or date.max)
        raise AssertionError("it never ends")

    def take(self, event: LoanEvent) -> None:
        kept = self.loan.copy()
        before, (self.loan, posted) = self.loan, fold.happen(self.terms, self.loan, event)
        assert before == kept, "the loan before an event is left as it was"
        self.done.append(event)
        if isinstance(event, Disbursed):
            self.books.begin(event)
        self.book(posted)
        if isinstance(event, MONEY):
            brought = [received(each) for each in posted if each.event in BRINGS]
            assert sum(brought) == event.amount, posted
        for row in self.loan.rows:
            assert all(0 <= paid <= due for paid, due in zip(row.paid, row.due, strict=True)), event


whoever = st.one_of(lives(), customers())
"""Whatever comes, or what is asked."""


@MANY
@given(life=whoever)
def test_the_ledger_says_what_the_loan_says_after_every_night_and_event(life: Life) -> None:
    walked = Walk(life, checked=True).walk(life.until)
    replayed = fold.replay(life.terms, walked.done, life.until, nightly_from=START)
    assert replayed.loan == walked.loan
    assert replayed.postings == tuple(walked.postings)


@MANY
@given(life=whoever)
def test_a_past_nobody_would_have_allowed_still_balances(life: Life) -> None:
    Walk(life, checked=False).walk(life.until)


@MANY
@given(life=whoever)
def test_nights_one_by_one_and_in_stretches_give_the_same_loan_and_totals(life: Life) -> None:
    nightly = fold.replay(life.terms, life.events, life.until, nightly_from=START)
    whole = fold.replay(life.terms, life.events, life.until)
    assert nightly.loan == whole.loan
    assert totals(nightly.postings) == totals(whole.postings)


@FEW
@given(life=lives())
def test_a_day_that_brings_a_loan_nothing_opens_on_it_as_it_stands(life: Life) -> None:
    def close(terms: Terms, loan: Loan, journal: Journal) -> None:
        day.transfer_overdue(terms, loan, journal)
        day.accrue(terms, loan, journal)

    middle = life.events[len(life.events) // 2].value_date
    loan = fold.replay(life.terms, life.events, middle).loan
    while loan.business_date < middle + timedelta(days=45):
        loan = fold.apart(close, life.terms, loan).loan
        opened = fold.apart(fold.open_day, life.terms, loan)
        assert fold.open_apart(life.terms, loan) == opened
        loan = opened.loan


@MANY
@given(life=whoever, seed=st.integers())
def test_any_order_of_arrival_gives_the_same_loan_and_the_same_books(life: Life, seed: int) -> None:
    """Events come in any order, each folded in with those already known; what that changes is
    posted, and the books are those of the chronological order.
    """
    first, *late = life.events
    assert isinstance(first, Disbursed | Purchased)
    random.Random(seed).shuffle(late)
    known: list[LoanEvent] = [first]
    loan, posted = fold.replay(life.terms, known, life.until, nightly_from=START)
    books = Books()
    books.begin(first)
    books.post(posted)
    for event in late:
        loan, posted = refolded(life.terms, known, event, life.until)
        known.append(event)
        books.post(posted)
    in_order = fold.replay(life.terms, life.events, life.until)
    assert loan == in_order.loan
    for each in happened.standing(known)[1:]:
        if isinstance(each, Disbursed):
            books.begin(each)
    assert books.balances() == loan_balances(life.terms, loan)
    chronological = Books()
    for disbursed in happened.standing(known):
        if isinstance(disbursed, Disbursed | Purchased):
            chronological.begin(disbursed)
    chronological.post(in_order.postings)
    assert +books.accounts == +chronological.accounts


@MANY
@given(life=lives(reversals=False), which=st.integers(1, 8))
def test_what_was_reversed_never_happened(life: Life, which: int) -> None:
    target = life.events[min(which, len(life.events) - 1)]
    if isinstance(target, Disbursed | Purchased):
        return
    reversed_ = [*life.events, Reversed(life.until, "R", target.event_id)]
    without = [event for event in life.events if event is not target]
    assert fold.replay(life.terms, reversed_, life.until) == fold.replay(
        life.terms, without, life.until
    )
    for then in {each.value_date for each in life.events}:
        assert fold.replay(life.terms, reversed_, then) == fold.replay(life.terms, without, then)
    before = fold.replay(life.terms, life.events, life.until, nightly_from=target.value_date)
    after = fold.replay(life.terms, without, life.until, nightly_from=target.value_date)
    there = difference(before.postings, after.postings)
    back = difference(after.postings, before.postings)
    assert totals(there) == {key: -amount for key, amount in totals(back).items()}


@MANY
@given(life=lives(reversals=False), cut=st.integers(0, 200))
def test_a_loan_kept_and_gone_on_with_later_is_the_loan_folded_at_once(
    life: Life, cut: int
) -> None:
    day = min(START + timedelta(days=cut), life.until)
    loan = fold.replay(life.terms, life.events, day).loan
    for event in happened.standing(list(life.events)):
        if event.value_date > day:
            loan = fold.advance(life.terms, loan, event.value_date).loan
            loan = fold.happen(life.terms, loan, event).loan
    loan = fold.advance(life.terms, loan, life.until).loan
    assert loan == fold.replay(life.terms, life.events, life.until).loan


@MANY
@given(life=lives(kinds=(*COMMON, happened.Repriced, happened.Charged), reversals=False))
def test_paying_the_payoff_closes_the_loan_and_leaves_nothing(life: Life) -> None:
    walked = Walk(life, checked=True).walk(life.until)
    loan = walked.loan
    if loan.closure is not None:
        return
    quote = payoff(life.terms, loan)
    walked.take(Settled(life.until, "999", quote.total))
    assert walked.loan.closure is not None
    left = max(quote.overpayment - quote.gross, 0)
    assert loan_balances(life.terms, walked.loan) == ({"overpayment": left} if left else {})


@MANY
@given(life=replanned())
def test_a_loan_whose_plan_was_changed_is_paid_to_its_end_and_leaves_nothing(life: Life) -> None:
    """What was earned is asked, some day, and nothing else is."""
    walked = Walk(life, checked=True).walk(life.until)
    walked.pay_to_the_end()
    held = walked.loan.overpayment
    assert walked.books.balances() == ({"overpayment": held} if held else {})


@FEW
@given(life=customers())
def test_who_pays_what_is_asked_after_a_waiver_owes_nothing_that_day(life: Life) -> None:
    loan = fold.replay(life.terms, life.events, life.until).loan
    parts = {part: sum(row.unpaid(part) for row in loan.arrears) for part in Part}
    forgiven = happened.Waived(
        life.until, "997", parts[Part.INTEREST] // 2, parts[Part.PENALTY], parts[Part.COMPOUND]
    )
    asked = refolded(life.terms, life.events, forgiven, life.until).loan.amount_due
    if asked and loan.running:
        paid = Repaid(life.until, "998", asked, Excess.PARK)
        told = refolded(life.terms, [*life.events, forgiven], paid, life.until)
        assert not told.loan.anything_due


plain = any_terms(12).map(lambda terms: replace(terms, fees=(), residue=Residue.LAST_PRINCIPAL))


@FEW
@given(terms=plain, principal=principals, days=st.integers(0, 400))
def test_an_early_payoff_never_costs_more_interest_than_waiting(
    terms: Terms, principal: int, days: int
) -> None:
    """But for the cents: of a rounded sum of parts, up to one a row."""
    plan = build_schedule(terms, principal, START)
    until = min(START + timedelta(days=days), plan.instalments[-1].due_date)
    events: list[LoanEvent] = [Disbursed(START, "0", principal)]
    for number, row in enumerate(plan.instalments):
        if row.due_date <= until and row.amount:
            events.append(Repaid(row.due_date, f"{number:03}", row.amount))
    loan = fold.replay(terms, events, until).loan
    interest = sum(row.paid[Part.INTEREST] for row in loan.rows[: loan.due_count])
    if loan.closure is None:
        interest += payoff(terms, loan).interest_to_date
    assert interest <= plan.interest + loan.due_count


@FEW
@given(
    life=lives(kinds=(Repaid,), reversals=False),
)
def test_money_pays_oldest_first_and_none_is_lost(life: Life) -> None:
    """Of what stays in rows: what is prepaid leaves them."""
    terms = replace(
        life.terms, repay_sweep=Sweep.HORIZONTAL, nonaccrual_dpd=1 << 20, excess=Excess.NEXT
    )
    events = [
        replace(each, excess=None) if isinstance(each, Repaid) else each for each in life.events
    ]
    loan = fold.replay(terms, events, life.until).loan
    paid = sum(sum(row.paid) for row in loan.rows) + loan.overpayment
    assert paid == sum(each.amount for each in life.events if isinstance(each, Repaid))
    oldest, *others = [row for row in loan.arrears if not row.settled] or [None]
    assert oldest is None or not any(any(row.paid[1:]) for row in others)


def due_rows(*dues: list[int]) -> list[Owed]:
    row = build_schedule(Terms(Method.BULLET, 1, Decimal(0)), 100, START).instalments[0]
    return [Owed(row, due) for due in dues]


@given(
    amount=st.integers(0, 10_000),
    dues=st.lists(st.lists(st.integers(0, 2_000), min_size=5, max_size=5), max_size=6),
    order=st.permutations(ACCRUAL_ORDER),
    sweep=st.sampled_from(Sweep),
)
def test_an_allocation_keeps_the_amount_and_never_overpays_a_part(
    amount: int, dues: list[list[int]], order: list[Part], sweep: Sweep
) -> None:
    left = [due.copy() for due in dues]
    for index, part, here in allocate(amount, due_rows(*dues), order, sweep):
        assert here > 0
        left[index][part] -= here
        amount -= here
    assert amount >= 0
    assert all(each >= 0 for row in left for each in row)
    assert not amount or not any(map(any, left))


def test_a_vertical_sweep_pays_all_interest_before_any_principal() -> None:
    owed = due_rows([50, 5, 0, 0, 0], [40, 8, 0, 0, 0])
    principal, interest = Part.PRINCIPAL, Part.INTEREST
    across = allocate(20, owed, ACCRUAL_ORDER, Sweep.VERTICAL)
    assert list(across) == [(0, interest, 5), (1, interest, 8), (0, principal, 7)]
    along = allocate(20, owed, ACCRUAL_ORDER, Sweep.HORIZONTAL)
    assert list(along) == [(0, interest, 5), (0, principal, 15)]


def test_every_kind_of_event_is_drawn() -> None:
    assert set(FIELDS) == set(fold.HANDLERS)
    assert all({each.name for each in fields(kind)} >= set(FIELDS[kind]) for kind in FIELDS)


def test_a_thirty_year_loan_with_every_instalment_paid_late_replays_the_same() -> None:
    terms = Terms(Method.EQUAL_INSTALMENT, 360, Decimal("0.06"), compound_enabled=True)
    plan = build_schedule(terms, 100_000_000, START)
    events: list[LoanEvent] = [Disbursed(START, "000", 100_000_000)]
    events += [
        Repaid(row.due_date + timedelta(days=2), f"{row.number:03}", row.amount + 10)
        for row in plan.instalments
    ]
    until = date(2057, 1, 1)
    there, back = fold.replay(terms, events, until), fold.replay(terms, reversed(events), until)
    assert there == back
