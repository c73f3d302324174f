"""A loan's day: overdue transfer, the nights' accrual, the opening of the next day.

The order is the day-end batch's: 4. transfer_overdue, 5. accrue, then, for the next date, 8. open_day.
"""

from __future__ import annotations

from datetime import timedelta

from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.loan import DAY, Loan, Owed, current_accrual
from tael_servicing.arithmetic.paying import close_if_repaid, pay_arrears, skip_settled
from tael_servicing.arithmetic.postings import Journal
from tael_servicing.arithmetic.recognised import NOTHING, Recognised
from tael_servicing.arithmetic.replanning import bearing_also, replan
from tael_servicing.arithmetic.rounding import ratio_of, rounded, share
from tael_servicing.arithmetic.terms import (
    Fee,
    FeeOn,
    Grace,
    NonAccrual,
    Overdue,
    Part,
    Terms,
)


def transfer_overdue(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Marks overdue each due instalment whose grace ends today unpaid (PRINCIPAL_OVERDUE).

    Grace that was not kept counts, where the terms say so: penalty and compound run from the due
    date, on what is unpaid now. Off balance the principal already stands at impaired, so that
    nothing is posted.
    """
    if loan.settled_count == loan.due_count or not loan.running or loan.paused:
        return
    principal = fees = penalty = 0
    for row in loan.arrears:
        nights = loan.age(row)
        if row.overdue or row.settled or nights < terms.grace_days:
            continue
        row.overdue = True
        _keep_whole(loan, row)
        principal += row.principal_unpaid
        if terms.grace is Grace.RETROACTIVE:
            _carry(terms, loan, row, nights)
        for fee in () if row.charged else terms.late_fees:
            late = _late_fee(terms, fee, row)
            if fee.penalty:
                row.due[Part.PENALTY] += late
                row.penalty_exact += late * loan.charge[1]
                penalty += late
            else:
                row.due[Part.FEE] += late
                fees += late
    if loan.accruing:
        journal.post("PRINCIPAL_OVERDUE", loan, principal=principal)
    journal.post("FEE_DUE", loan, fee=fees)
    journal.post("INTEREST_ACCRUED", loan, penalty=penalty)


def _keep_whole(loan: Loan, row: Owed) -> None:
    """What its charges grow from: those asked with it already, as by a re-ageing, stay asked."""
    row.penalty_exact = row.due[Part.PENALTY] * loan.charge[1]
    row.compound_exact = row.due[Part.COMPOUND] * loan.charge[1]


def _late_fee(terms: Terms, fee: Fee, row: Owed) -> int:
    base = {
        FeeOn.PRINCIPAL: row.principal_unpaid,
        FeeOn.BALANCE: row.principal_unpaid,
        FeeOn.INTEREST: row.interest_unpaid,
        FeeOn.INSTALMENT: row.principal_unpaid + row.interest_unpaid,
    }[fee.on]
    return fee.amount + share(base, ratio_of(fee.rate), terms.rounding)


def _carry(terms: Terms, loan: Loan, row: Owed, nights: int) -> None:
    """Nights of a charge that are grown exactly and posted with the next."""
    rate = loan.charge[0] * nights
    if charges_penalty(terms):
        row.penalty_exact += row.principal_unpaid * rate
    if charges_compound(terms, loan):
        row.compound_exact += row.compounds * rate


def charges_penalty(terms: Terms) -> bool:
    """Overdue principal bears penalty interest."""
    return terms.overdue is Overdue.PENALTY


def charges_compound(terms: Terms, loan: Loan) -> bool:
    """Unpaid due interest bears compound interest: at the penalty rate; at the contract rate where
    overdue principal bears that, and as long.
    """
    if terms.overdue is Overdue.CONTRACT and loan.current is None and not terms.after_maturity:
        return False
    return terms.compound_enabled and terms.overdue is not Overdue.NOTHING


def accrue(terms: Terms, loan: Loan, journal: Journal, nights: int = 1) -> None:
    """Interest, penalty and compound of the nights from the business date on (INTEREST_ACCRUED).

    More than one night at a time only while nothing falls due, no grace and no pause ends among them;
    the amounts are then those nights' sum, worth the last of them.
    """
    until = loan.business_date + timedelta(days=nights)
    if not loan.running:
        loan.business_date = until
        return
    before = current_accrual(terms, loan)
    penalty = compound = 0
    penalised, compounds = charges_penalty(terms), charges_compound(terms, loan)
    if (penalised or compounds) and not loan.paused:
        for row in loan.arrears:
            if row.overdue:
                grown = _grow(terms, loan, row, nights, penalised, compounds)
                penalty += grown[0]
                compound += grown[1]
    loan.business_date = until
    interest = current_accrual(terms, loan) - before
    interest += _grow_matured(terms, loan, nights)
    journal.post(
        "INTEREST_ACCRUED",
        loan,
        until - DAY,
        interest=interest,
        penalty=penalty,
        compound=compound,
    )


def bears_matured(terms: Terms, loan: Loan) -> int:
    """Principal that goes on bearing contract interest though all of the loan is due."""
    ended = loan.current is None and terms.after_maturity
    return bearing_also(terms, loan) if ended else 0


def _grow_matured(terms: Terms, loan: Loan, nights: int) -> int:
    """Contract interest on it, asked with the last instalment: R(Σ exact) less what was before."""
    base = bears_matured(terms, loan)
    if not base:
        return 0
    loan.matured_exact += base * loan.charge[0] * nights
    asked = sum(row.matured for row in loan.rows)
    grown = rounded(loan.matured_exact, loan.charge[1], terms.rounding) - asked
    row = loan.last_instalment
    row.matured += grown
    row.due[Part.INTEREST] += grown
    loan.matured_accrued += grown
    return grown


def _grow(
    terms: Terms, loan: Loan, row: Owed, nights: int, penalised: bool, compounds: bool
) -> tuple[int, int]:
    """Penalty on overdue principal and compound on unpaid due contract interest, never on penalty or
    on compound itself: R(Σ exact) less what was posted, so that no night's rounding is lost.
    """
    numerator, denominator = loan.charge
    rate = numerator * nights
    penalty = compound = 0
    base = row.due[0] - row.paid[0] if penalised else 0
    if base:
        row.penalty_exact += base * rate
        grown = rounded(row.penalty_exact, denominator, terms.rounding)
        penalty = grown - row.due[Part.PENALTY]
        row.due[Part.PENALTY] = grown
    base = row.compounds if compounds else 0
    if base:
        row.compound_exact += base * rate
        grown = rounded(row.compound_exact, denominator, terms.rounding)
        compound = grown - row.due[Part.COMPOUND]
        row.due[Part.COMPOUND] = grown
    return penalty, compound


def open_day(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Opens the business date: what is due becomes due, then the tests for and against accrual.

    Money parked earlier pays what became due. Interest due today is settled before the loan goes off
    balance, as the catch-up before non-accrual demands; everything accrued up to last night is
    already in the balances.
    """
    if not loan.running:
        return
    if not loan.paused:
        end_pause(loan)
    fell_due = fall_due(loan, journal)
    apply_overpayment(terms, loan, journal)
    if fell_due:
        bear_what_is_late(terms, loan, journal)
    if not loan.running:
        return
    if loan.nonaccrual_since is None:
        if loan.days_past_due > terms.nonaccrual_dpd:
            enter_nonaccrual(terms, loan, journal)
    else:
        _cure(terms, loan, journal, fell_due=fell_due)


def bear_what_is_late(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Principal that fell due today and is not paid bears contract interest with what is to come, where
    the terms say so.
    """
    if bearing_also(terms, loan) and loan.current is not None:
        replan(terms, loan, journal, fixed_share=loan.share, cut=False)


def end_pause(loan: Loan) -> None:
    """What is due grows older again from the business date on, if it did not before."""
    if loan.pause is None:
        return
    over = loan.pause._replace(until=min(loan.pause.until, loan.business_date))
    for row in loan.arrears:
        row.paused += over.days(row.due_date)
    loan.pause = None


def stirs(terms: Terms, loan: Loan) -> bool:
    """Whether `open_day` may change the loan; on most days it does not."""
    if not loan.running:
        return False
    current = loan.current
    if current is not None and current.due_date <= loan.business_date:
        return True
    if loan.overpayment and loan.anything_due:
        return True
    if loan.pause is not None and not loan.paused:
        return True
    if loan.nonaccrual_since is None:
        return loan.days_past_due > terms.nonaccrual_dpd
    return _cured(terms, loan) or (loan.clean_periods > 0 and loan.days_past_due > 0)


def fall_due(loan: Loan, journal: Journal) -> bool:
    """Moves what falls due today among the due instalments (INTEREST_DUE, FEE_DUE); whether any."""
    fell_due = False
    while loan.due_count < len(loan.rows):
        row = loan.rows[loan.due_count]
        if row.instalment.period.end > loan.business_date:
            break
        fell_due = True
        row.in_advance = sum(row.paid)
        instalment = row.instalment
        if instalment.period.start == instalment.period.end:
            # No night earns it: what falls due on the day its period begins is earned at once.
            journal.post("INTEREST_ACCRUED", loan, interest=instalment.accrues)
        loan.deferred += instalment.accrues - instalment.interest
        loan.due_count += 1
        interest = row.due[1] - row.paid[1] - row.carried
        if loan.nonaccrual_since is not None:
            interest = loan.recognised.fall_due(interest) if loan.recognised else 0
        journal.post("INTEREST_DUE", loan, interest=interest)
        if instalment.fee:
            journal.post("FEE_DUE", loan, fee=instalment.fee)
    if fell_due:
        skip_settled(loan)
        close_if_repaid(loan)
    return fell_due


def apply_overpayment(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Pays the arrears out of what the customer paid too much (OVERPAYMENT_APPLIED)."""
    if not loan.overpayment or not loan.anything_due or not loan.running:
        return
    loan.overpayment, accounts = pay_arrears(terms, loan, journal, loan.overpayment)
    journal.post("OVERPAYMENT_APPLIED", loan, **accounts)
    close_if_repaid(loan)


def enter_nonaccrual(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Principal is impaired; income recognised and not collected leaves the balance sheet, or stays,
    as the terms say (NON_ACCRUAL_ENTERED).
    """
    moved = balances(terms, loan)
    income = {
        "interest_due": moved.interest_due,
        "interest_accrued": moved.interest_accrued,
        "penalty": moved.penalty,
        "compound": moved.compound,
    }
    stays = terms.nonaccrual is NonAccrual.STAGE3_NET
    journal.post(
        "NON_ACCRUAL_ENTERED",
        loan,
        principal_normal=moved.principal_normal,
        principal_overdue=moved.principal_overdue,
        **({} if stays else income),
    )
    loan.recognised = Recognised(**income) if stays else None
    for row in loan.arrears:
        # The memo accounts begin with what was moved to them, in whole minor units.
        _keep_whole(loan, row)
    loan.nonaccrual_since = loan.business_date
    loan.clean_periods = 0


def _cure(terms: Terms, loan: Loan, journal: Journal, *, fell_due: bool) -> None:
    """Counts instalments paid when due since the arrears were paid; enough of them end non-accrual,
    but not while it is so by hand, and never of a loan that was bought impaired.

    An instalment counts as it falls due, and does not where it is unpaid the day after; non-accrual
    ends with the first opening that finds enough of them and nothing unpaid.
    """
    if loan.days_past_due > 0:
        loan.clean_periods = 0
    elif fell_due:
        loan.clean_periods += 1
    if _cured(terms, loan):
        leave_nonaccrual(terms, loan, journal)


def _cured(terms: Terms, loan: Loan) -> bool:
    clean = loan.clean_periods >= terms.cure_periods and not loan.judged
    return clean and not loan.arrears and loan.cost is None


def leave_nonaccrual(terms: Terms, loan: Loan, journal: Journal) -> None:
    """Principal, and the interest still owed, return to the balance sheet (NON_ACCRUAL_LEFT)."""
    stayed = loan.recognised or NOTHING
    loan.nonaccrual_since = loan.recognised = None
    moved = balances(terms, loan)
    journal.post(
        "NON_ACCRUAL_LEFT",
        loan,
        principal_normal=moved.principal_normal,
        principal_overdue=moved.principal_overdue,
        interest=moved.interest_due - stayed.interest_due,
        interest_accrued=moved.interest_accrued - stayed.interest_accrued,
        penalty=moved.penalty - stayed.penalty,
        compound=moved.compound - stayed.compound,
    )
