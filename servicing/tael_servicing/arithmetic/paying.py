"""Money: how it pays what is due, what becomes of more, and when nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import product

from tael_servicing.arithmetic.balances import by_account
from tael_servicing.arithmetic.dates import months_after
from tael_servicing.arithmetic.loan import Closure, Loan, Owed
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.replanning import bearing_also, earned, replan
from tael_servicing.arithmetic.rounding import ratio_of, share
from tael_servicing.arithmetic.terms import (
    Excess,
    Keep,
    Method,
    Overdue,
    Part,
    Sweep,
    Terms,
)

GOODS_PAY = ("principal_normal", "principal_overdue", "interest_due", "interest_accrued")
OUT_OF_TURN = (Excess.PRINCIPAL, Excess.LAST, Excess.SPREAD)
"""What is more than due is a prepayment; instalments that come next are only paid sooner."""
CHARGES = (Part.INTEREST, Part.PENALTY, Part.COMPOUND, Part.FEE)
"""What a claim's interest consists of."""


Take = Callable[[Loan, Owed, Part, int], None]
"""Takes an amount out of what a row owes of a part."""


def allocate(
    amount: int, owed: Sequence[Owed], order: Sequence[Part], sweep: Sweep
) -> Iterator[tuple[int, Part, int]]:
    """What an amount pays, as (index of the row, part, amount); nothing is ever rounded."""
    if sweep is Sweep.HORIZONTAL:
        walk: Iterable[tuple[int, Part]] = product(range(len(owed)), order)
    else:
        walk = ((index, part) for part in order for index in range(len(owed)))
    for index, part in walk:
        row = owed[index]
        unpaid = row.due[part] - row.paid[part]
        if unpaid and amount:
            here = min(amount, unpaid)
            yield index, part, here
            amount -= here


def pay_due(terms: Terms, loan: Loan, amount: int) -> tuple[int, dict[str, int]]:
    """Pays costs and arrears: what is left over, and what was paid by account."""
    costs = min(amount, loan.legal_costs)
    loan.legal_costs -= costs
    left = amount - costs
    arrears = loan.arrears
    taken = [0, 0, 0, 0, 0]
    overdue = moved = 0
    if loan.nonaccrual_since is None:
        order, sweep = terms.repay_order, terms.repay_sweep
    else:
        # Principal of every instalment before any interest: always vertical off balance.
        order, sweep = terms.repay_order_nonaccrual, Sweep.VERTICAL
    for index, part, here in allocate(left, arrears, order, sweep):
        row = arrears[index]
        pay_part(loan, row, part, here)
        taken[part] += here
        moved += here
        if part is Part.PRINCIPAL and row.overdue:
            overdue += here
    skip_settled(loan)
    accounts = by_account(loan, taken, overdue)
    accounts["legal_costs"] = costs
    return left - moved, accounts


def pay_part(loan: Loan, row: Owed, part: Part, amount: int) -> None:
    """Pays a part of a row; what clears a penalty takes its fraction of a minor unit with it."""
    row.pay(part, amount, loan.business_date)
    if part is Part.PENALTY and row.paid[part] == row.due[part]:
        row.penalty_exact = row.due[part] * loan.charge[1]
    elif part is Part.COMPOUND and row.paid[part] == row.due[part]:
        row.compound_exact = row.due[part] * loan.charge[1]


def show_recovered(loan: Loan, principal: int, interest: int, take: Take = pay_part) -> None:
    """What comes in on a claim is paid of its rows, or as `take` has it, oldest first: principal of all
    of them, then interest and charges of what was due, then interest of what was not.
    """
    for row in loan.rows[loan.settled_count :]:
        here = min(principal, row.principal_unpaid)
        take(loan, row, Part.PRINCIPAL, here)
        principal -= here
    claimed = [(row, part) for row in loan.arrears for part in CHARGES]
    claimed += [(row, Part.INTEREST) for row in loan.rows[loan.due_count :]]
    for row, part in claimed:
        here = min(interest, row.unpaid(part))
        take(loan, row, part, here)
        interest -= here
    skip_settled(loan)


def skip_settled(loan: Loan) -> None:
    """Brings the count of settled instalments up to date."""
    rows, settled, due = loan.rows, loan.settled_count, loan.due_count
    while settled < due and rows[settled].due == rows[settled].paid:
        settled += 1
    loan.settled_count = settled


def close_if_repaid(loan: Loan) -> None:
    """Closes the loan where nothing is owed of it any more, now or later."""
    if loan.legal_costs or loan.settled_count < loan.due_count:
        return
    ahead = loan.rows[loan.due_count :]
    if any(row.due != row.paid for row in ahead):
        return
    late = any(row.overdue for row in loan.rows)
    if late:
        close(loan, Closure.PAID_OVERDUE)
    else:
        close(loan, Closure.PAID_EARLY if ahead else Closure.PAID_NORMAL)


def close(loan: Loan, closure: Closure) -> None:
    """Nothing is owed of the loan any more, now or later."""
    ahead = loan.rows[loan.due_count :]
    for row in ahead:
        row.in_advance = sum(row.paid)
    # A row that money paid ahead left nothing to ask is none.
    loan.rows[loan.due_count :] = [row for row in ahead if any(row.due)]
    loan.due_count = loan.settled_count = len(loan.rows)
    loan.deferred = 0
    loan.closure = closure


def pay_arrears(
    terms: Terms, loan: Loan, journal: Journal, amount: int
) -> tuple[int, dict[str, int]]:
    """As `pay_due`; where principal that is late bore contract interest, the plan is made anew."""
    matured_falls_due(loan, journal)
    stands, bore = earned_now(terms, loan), bearing_also(terms, loan)
    left, accounts = pay_due(terms, loan, amount)
    if bearing_also(terms, loan) < bore:
        after_early(terms, loan, journal, stands, at_once=False)
    return left, accounts


def matured_falls_due(loan: Loan, journal: Journal) -> None:
    """What principal bore after all was due is payable every day; in the books it falls due when money
    pays it, or it is given up (INTEREST_DUE).
    """
    if loan.accruing:
        journal.post("INTEREST_DUE", loan, interest=loan.matured_accrued)
    loan.matured_accrued = 0


def prepayment_fee(terms: Terms, loan: Loan, principal: int) -> int:
    """The fee on principal prepaid today, minor units."""
    total = 0
    for fee in terms.prepayment_fees:
        free_from = months_after(loan.begun, fee.until_month, loan.begun.day)
        if principal and not (fee.until_month and loan.business_date >= free_from):
            total += fee.amount + share(principal, ratio_of(fee.rate), terms.rounding)
    return total


def most_principal(loan: Loan, amount: int, cost: Callable[[int], int]) -> int:
    """The largest principal not yet due that costs at most `amount` to prepay; 0 where none does."""
    low, high = 0, min(amount, loan.undue_principal)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= amount else (low, middle - 1)
    return low


def receive(
    terms: Terms,
    loan: Loan,
    journal: Journal,
    amount: int,
    *,
    event: str = "REPAYMENT_RECEIVED",
    excess: Excess | None = None,
) -> None:
    """Money for what is due, oldest first; what is more goes where `excess`, or the terms, say, with
    the fee for prepaying where it pays principal out of its turn.
    """
    left, accounts = pay_arrears(terms, loan, journal, amount)
    stands = earned_now(terms, loan)
    rule = excess or terms.excess
    early = interest = fee = 0
    if left and rule is Excess.INSTALMENTS and loan.accruing:
        early, interest = pay_instalments(terms, loan, left)
    elif left and rule in OUT_OF_TURN and loan.accruing:
        most = most_principal(loan, left, lambda each: each + prepayment_fee(terms, loan, each))
        fee = prepayment_fee(terms, loan, most)
        early = pay_ahead(loan, most, rule)
    elif left and rule is Excess.NEXT and loan.accruing:
        early = pay_ahead(loan, left, rule)
    left -= early + interest + fee
    accounts["principal_normal"] = accounts.get("principal_normal", 0) + early
    accounts |= {"interest_accrued": interest, "prepayment_fee": fee}
    loan.overpayment += left
    post_money(loan, journal, event, accounts, left)
    if early or interest:
        after_early(terms, loan, journal, stands, at_once=rule is Excess.PRINCIPAL)
    close_if_repaid(loan)


def post_money(
    loan: Loan, journal: Journal, event: str, accounts: dict[str, int], overpayment: int
) -> None:
    """What money paid, by account, and what of it is held for the customer.

    The price of goods pays principal and interest on balance; what else is due, it pays by way of
    the customer's own money. A guarantor's money beyond what is owed came by transfer.
    """
    if event == "GUARANTOR_PAID":
        journal.post(event, loan, **accounts)
        journal.post(
            "REPAYMENT_RECEIVED", loan, overpayment=overpayment, funds_transfer=overpayment
        )
        return
    if event == "GOODS_REFUNDED":
        named = {name: accounts.pop(name, 0) for name in GOODS_PAY}
        journal.post(event, loan, **named, overpayment=overpayment + sum(accounts.values()))
        journal.post("OVERPAYMENT_APPLIED", loan, **accounts)
        return
    journal.post(event, loan, **accounts, overpayment=overpayment)


def earned_now(terms: Terms, loan: Loan) -> int:
    """Interest of the running period to date where a payment now changes what bears it."""
    if loan.current is None:
        return 0
    actual = terms.on_what_is_paid or bearing_also(terms, loan)
    return earned(terms, loan) if actual else 0


def pay_ahead(loan: Loan, amount: int, rule: Excess) -> int:
    """Pays principal that is not yet due; returns how much. The schedule is left as it was."""
    ahead = loan.rows[loan.due_count :]
    principal = min(amount, loan.undue_principal)
    if not principal:
        return 0
    if rule is Excess.PRINCIPAL:
        _to_the_running(loan, ahead, principal)
        return principal
    if rule is Excess.SPREAD:
        _spread_evenly(ahead, principal, loan.business_date)
        return principal
    left = principal
    for row in reversed(ahead) if rule is Excess.LAST else ahead:
        here = min(left, row.principal_unpaid)
        row.pay(Part.PRINCIPAL, here, loan.business_date)
        left -= here
    return principal


def pay_instalments(terms: Terms, loan: Loan, amount: int) -> tuple[int, int]:
    """Pays the instalments that come next, each whole before the one after it, in the order of
    repayment: interest to date, and principal for all that is left of what the instalment asks.
    Returns how much principal and interest. A fee stays due on its day; so does all of a row that asks
    what was due before (a re-ageing).
    """
    to_date = loan.deferred + earned(terms, loan) - loan.interest_ahead
    ahead = [row for row in loan.rows[loan.due_count :] if not row.closed]
    left = loan.undue_principal
    paid = dict.fromkeys(Part, 0)
    for row in ahead:
        if not left or row.carried:
            break
        last = row is ahead[-1]
        asks = {
            Part.INTEREST: to_date,
            Part.PRINCIPAL: principal_of_whole(row, to_date, left, last=last),
        }
        for part in terms.repay_order:
            here = min(amount, asks.get(part, 0))
            row.pay(part, here, loan.business_date)
            paid[part] += here
            amount -= here
            asks[part] = asks.get(part, 0) - here
        if any(asks.values()):
            break
        row.closed, left, to_date = True, loan.undue_principal, 0
    return paid[Part.PRINCIPAL], paid[Part.INTEREST]


def principal_of_whole(row: Owed, to_date: int, left: int, *, last: bool) -> int:
    """Principal that an instalment asks where it is paid whole in advance: what interest to date leaves
    of it, all that is `left` in the last.
    """
    whole = row.principal_unpaid + row.interest_unpaid - to_date
    return left if last else min(whole, left)


def _to_the_running(loan: Loan, ahead: Sequence[Owed], principal: int) -> None:
    """On a due date its instalment becomes larger; on another day the running one is paid ahead.

    What the later rows then ask less is the replanning's to find.
    """
    last = max((i for i in range(loan.due_count) if not loan.rows[i].charged), default=-1)
    if last >= 0 and loan.rows[last].due_date == loan.business_date and loan.rows[last].settled:
        row = loan.own(last)
        row.due[Part.PRINCIPAL] += principal
        row.pay(Part.PRINCIPAL, principal, loan.business_date)
        left = row.instalment.balance_after - principal
        row.instalment = row.instalment._replace(balance_after=left)
        _take(ahead, principal)
        return
    first = ahead[0]
    more = principal - min(principal, first.principal_unpaid)
    first.pay(Part.PRINCIPAL, principal, loan.business_date)
    first.due[Part.PRINCIPAL] += more
    _take(ahead[1:], more)


def _take(rows: Sequence[Owed], principal: int) -> None:
    """Takes principal away from rows, the last ones first."""
    for row in reversed(rows):
        here = min(principal, row.principal_unpaid)
        row.due[Part.PRINCIPAL] -= here
        principal -= here


def _spread_evenly(rows: Sequence[Owed], principal: int, day: date) -> None:
    """Equal parts, none more than its row; the cents in the last. What short rows leave is spread
    again.
    """
    left = principal
    while left:
        rows = [row for row in rows if row.principal_unpaid]
        for index, row in enumerate(rows):
            part = min(_rounded_part(left, len(rows) - index), left, row.principal_unpaid)
            row.pay(Part.PRINCIPAL, part, day)
            left -= part


def _rounded_part(amount: int, count: int) -> int:
    return (2 * amount + count) // (2 * count)


def after_early(terms: Terms, loan: Loan, journal: Journal, stands: int, *, at_once: bool) -> None:
    """Makes the rest of the schedule anew where what bears interest has changed; `at_once`: by
    principal out of its turn, after which the prepayment rule says what stays.
    """
    if loan.current is None:
        return
    if at_once:
        share = None if terms.prepayment is Keep.TERM else loan.share
        replan(terms, loan, journal, fixed_share=share, cut=True, stands=stands, paid=True)
    elif terms.method is not Method.FLAT and (
        terms.on_what_is_paid or terms.overdue is Overdue.CONTRACT
    ):
        replan(terms, loan, journal, fixed_share=loan.share, cut=True, stands=stands, paid=True)
