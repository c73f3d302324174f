"""What holds of every loan, whatever happens to it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from servicing.stories import START, day_after, night_by_night, totals

from tael_runtime.errors import FailedPrecondition
from tael_servicing.arithmetic.allocation import allocate
from tael_servicing.arithmetic.events import (
    Disbursed,
    LoanEvent,
    Prepaid,
    Repaid,
    Settled,
    WrittenOff,
    happen,
)
from tael_servicing.arithmetic.loan import Loan, balances
from tael_servicing.arithmetic.postings import Posting, Step
from tael_servicing.arithmetic.prepayment import Keep, payoff
from tael_servicing.arithmetic.replay import advance, replay
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import (
    ACCRUAL_ORDER,
    FirstPeriod,
    Method,
    Part,
    Sweep,
    Terms,
)

any_terms = st.builds(
    Terms,
    method=st.sampled_from(Method),
    periods=st.integers(1, 8),
    annual_rate=st.decimals(0, Decimal("0.36"), places=4),
    whole_months=st.booleans(),
    repay_day=st.integers(0, 31),
    first_period=st.sampled_from(FirstPeriod),
    penalty_multiplier=st.sampled_from([Decimal("1.3"), Decimal("1.5"), Decimal(2)]),
    compound_enabled=st.booleans(),
    grace_days=st.integers(0, 3),
    prepayment_fee_rate=st.sampled_from([Decimal(0), Decimal("0.01")]),
    repay_sweep=st.sampled_from(Sweep),
    nonaccrual_dpd=st.sampled_from([30, 90]),
)
principals = st.integers(10_000, 10_000_000)


@dataclass(frozen=True)
class Life:
    """Terms, the disbursement and things tried on a loan, each some days after the one before."""

    terms: Terms
    principal: int
    tries: list[tuple[int, str, int]]

    @property
    def disbursed(self) -> Disbursed:
        return Disbursed(START, "000", self.principal)


lives = st.builds(
    Life,
    any_terms,
    principals,
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.sampled_from(["repay", "repay", "repay", "term", "instalment", "settle", "loss"]),
            st.integers(1, 3_000_000),
        ),
        max_size=8,
    ),
)


def attempt(terms: Terms, loan: Loan, number: int, what: str, amount: int) -> LoanEvent:
    day, event_id = loan.business_date, f"{number:03}"
    match what:
        case "repay":
            return Repaid(day, event_id, amount)
        case "term":
            return Prepaid(day, event_id, amount, Keep.TERM)
        case "instalment":
            return Prepaid(day, event_id, amount, Keep.INSTALMENT)
        case "settle":
            return Settled(day, event_id, payoff(terms, loan).total)
        case _:
            return WrittenOff(day, event_id)


def lived(life: Life) -> tuple[Step, list[LoanEvent]]:
    """The life walked night by night, with the events that were possible."""
    events: list[LoanEvent] = [life.disbursed]
    loan = replay(life.terms, events, START).loan
    postings: list[Posting] = []
    for number, (days, what, amount) in enumerate(life.tries, 1):
        loan, nights = night_by_night(life.terms, loan, day_after(loan.business_date, days))
        postings += nights
        try:
            event = attempt(life.terms, loan, number, what, amount)
            loan, posted = happen(life.terms, loan, event)
        except FailedPrecondition:
            continue
        events.append(event)
        postings += posted
    return Step(loan, tuple(postings)), events


@settings(max_examples=150, deadline=None)
@given(life=lives, seed=st.integers())
def test_walking_every_night_and_replaying_events_in_any_order_of_arrival_agree(
    life: Life, seed: int
) -> None:
    walked, events = lived(life)
    order = {(type(each), each.value_date) for each in events}
    if len(order) < len(events):
        # Several of a kind on a day arrive in id order; only distinct kinds or days may be shuffled.
        events = sorted(events, key=lambda each: each.event_id)
    else:
        random.Random(seed).shuffle(events)
    replayed = replay(life.terms, events, walked.loan.business_date)
    assert replayed.loan == walked.loan
    assert totals(replayed.postings) == totals(walked.postings)


def moved(each: Posting) -> Counter[str]:
    """What a posting adds to the balances, by the meaning of its event."""
    change: Counter[str] = Counter()
    off = "" if each.accruing else "offbalance_"
    accrued = {"interest": "interest_accrued" if each.accruing else "offbalance_interest"}
    for name, amount in each.amounts.items():
        kind = name.split("_")[0]
        if name == "allowance_top_up":
            assert amount == each.amounts["principal"]
            continue
        source, target = {
            "PRINCIPAL_OVERDUE": ("principal_normal", "principal_overdue"),
            "INTEREST_DUE": ("interest_accrued", "interest_due"),
            "INTEREST_ACCRUED": ("income", accrued.get(name, off + name)),
            "INTEREST_TRUED_UP": ("income", accrued.get(name, off + name)),
            "REPAYMENT_RECEIVED": (name, "cash"),
            "OVERPAYMENT_APPLIED": (name, "overpayment"),
            "NON_ACCRUAL_ENTERED": (
                name,
                "principal_impaired" if kind == "principal" else f"offbalance_{kind}",
            ),
            "LOAN_WRITTEN_OFF": (
                "principal_impaired" if kind == "principal" else f"offbalance_{name}",
                f"written_off_{'principal' if kind == 'principal' else 'interest'}",
            ),
        }[each.event]
        change[source] -= amount
        change[target] += amount
    return change


# Not balances of the loan, or on the other side of it.
OUTSIDE = {"income", "cash", "prepayment_fee", "overpayment"}


@settings(max_examples=150, deadline=None)
@given(life=lives)
def test_postings_add_up_to_the_balances_and_no_balance_is_ever_negative(life: Life) -> None:
    walked, _ = lived(life)
    running = Counter({"principal_normal": life.principal})
    for each in walked.postings:
        running.update(moved(each))
        assert all(value >= 0 for name, value in running.items() if name not in OUTSIDE), each
    expected = asdict(balances(life.terms, walked.loan))
    assert expected.pop("overpayment") == -running["overpayment"]
    assert {name: value for name, value in running.items() if value and name not in OUTSIDE} == {
        name: value for name, value in expected.items() if value
    }
    assert min(expected.values()) >= 0


@settings(max_examples=150, deadline=None)
@given(terms=any_terms, principal=principals, days=st.integers(0, 270))
def test_an_early_payoff_never_costs_more_interest_than_the_schedule(
    terms: Terms, principal: int, days: int
) -> None:
    plan = build_schedule(terms, principal, START)
    loan = replay(terms, [Disbursed(START, "0", principal)], START).loan
    until = min(day_after(START, days), plan.instalments[-1].due_date)
    interest = 0
    for row in plan.instalments:
        if row.due_date <= until:
            loan = advance(terms, loan, row.due_date).loan
            loan = happen(terms, loan, Repaid(row.due_date, "1", row.amount)).loan
            interest += row.interest
    if loan.closure is None:
        loan = advance(terms, loan, until).loan
        interest += payoff(terms, loan).interest_to_date
    assert interest <= plan.interest


@given(
    amount=st.integers(0, 10_000),
    owed=st.lists(st.dictionaries(st.sampled_from(Part), st.integers(0, 2_000)), max_size=6),
    order=st.permutations(ACCRUAL_ORDER),
    sweep=st.sampled_from(Sweep),
)
def test_an_allocation_keeps_the_amount_and_never_overpays_a_part(
    amount: int, owed: list[dict[Part, int]], order: list[Part], sweep: Sweep
) -> None:
    taken, left = allocate(amount, owed, order, sweep)
    assert left + sum(sum(parts.values()) for parts in taken) == amount
    for parts, due in zip(taken, owed, strict=True):
        assert all(0 < each <= due[part] for part, each in parts.items())
    if left:
        assert all(
            parts.get(part, 0) == each
            for parts, due in zip(taken, owed, strict=True)
            for part, each in due.items()
        )


def test_a_vertical_sweep_pays_all_interest_before_any_principal() -> None:
    owed = [{Part.PRINCIPAL: 50, Part.INTEREST: 5}, {Part.PRINCIPAL: 40, Part.INTEREST: 8}]
    across, _ = allocate(20, owed, ACCRUAL_ORDER, Sweep.VERTICAL)
    assert across == [{Part.INTEREST: 5, Part.PRINCIPAL: 7}, {Part.INTEREST: 8}]
    along, _ = allocate(20, owed, ACCRUAL_ORDER, Sweep.HORIZONTAL)
    assert along == [{Part.INTEREST: 5, Part.PRINCIPAL: 15}, {}]


def test_a_thirty_year_loan_with_every_instalment_paid_late_replays_the_same() -> None:
    terms = replace(Terms(Method.EQUAL_INSTALMENT, 360, Decimal("0.06")), compound_enabled=True)
    plan = build_schedule(terms, 100_000_000, START)
    events: list[LoanEvent] = [Disbursed(START, "000", 100_000_000)]
    events += [
        Repaid(day_after(row.due_date, 2), f"{row.number:03}", row.amount + 10)
        for row in plan.instalments
    ]
    until = date(2057, 1, 1)
    assert replay(terms, reversed(events), until).loan == replay(terms, events, until).loan
