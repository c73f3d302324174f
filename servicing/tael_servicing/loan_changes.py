"""Changes of running loans: what of them a product and the law allow, and how they are taken back."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, select

from tael.servicing.v1 import loan_change_pb2 as pb
from tael_client.values import to_decimal
from tael_runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from tael_runtime.fields import optional_date, read_date
from tael_servicing import caps, line_changes, loan_costs, loans, products
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.checks import check, check_due
from tael_servicing.arithmetic.dates import Period, later, latest_end, most_more_periods
from tael_servicing.arithmetic.events import (
    ClaimWaived,
    Rescheduled,
    Reversed,
    Waived,
    standing,
)
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.enacting import (
    Enacted,
    check_value_date,
    enact,
    standing_before,
    standing_on,
)
from tael_servicing.loans import Held
from tael_servicing.product_checks import rate_problem
from tael_servicing.products import Product
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan_event, repayment

LONGEST_PAUSE = 366
"""Days at a time."""
NOT_REPAID = frozenset(("PRINCIPAL_WAIVED", "ASSET_TAKEN_FOR_DEBT"))
"""Events that free a line by principal that was given up or taken in kind."""
IRREVERSIBLE = frozenset(("Disbursed", "Purchased", "Returned", "Reversed"))


def reference_of(request: Any) -> str:
    """On whose word a request rests."""
    for name in ("approval", "reference", "reason"):
        if name in request.DESCRIPTOR.fields_by_name:
            return str(getattr(request, name))
    return ""


def read_rate(transaction: Connection, held: Held, request: Any) -> Decimal:
    """The annual rate a request asks for. Raises InvalidArgument where it is none, or over a cap.

    A rate above the one that the loan was signed at, or bears, is agreed today, and held to today's
    cap; those kept theirs when they were agreed.
    """
    product = _product(transaction, held)
    day = held.loan.business_date
    limit = caps.tightest(caps.limits(transaction, product.lender_type, product.terms, day))
    most = max(limit.rate, held.contract.annual_rate, held.loan.annual_rate).normalize()
    if problem := rate_problem(request.annual_rate, Decimal(0), most):
        raise InvalidArgument("annual_rate", problem)
    return to_decimal(request.annual_rate)


def read_due_dates(then: Loan, request: Any) -> tuple[date, ...]:
    """The due dates a request gives to the instalments that change, of the loan on its value date.

    Raises InvalidArgument where they are not ascending, begin before the day after that or the day the
    first of the instalments begins, or are more than those.
    """
    given = tuple(
        read_date(f"due_dates[{index}]", each) for index, each in enumerate(request.due_dates)
    )
    if not given:
        return ()
    changed = _changed(then, optional_date(request, "from_due_date"))
    begins = max([then.business_date, *(period.start for period in changed[:1])])
    for index, (before, day) in enumerate(pairwise([begins, *given])):
        if day <= before:
            raise InvalidArgument(f"due_dates[{index}]", f"is {day}; after {before} is right")
    most = request.instalments or len(changed) + request.more_periods
    if changed and len(given) > most:
        raise InvalidArgument("due_dates", f"are {len(given)}; {most} instalments change")
    return given


def check_counts(then: Loan, request: pb.RescheduleLoanRequest) -> None:
    """Raises InvalidArgument where no fewer instalments are asked for than change of the loan on the
    value date, or where grace leaves none of them.
    """
    changed = len(_changed(then, optional_date(request, "from_due_date")))
    if not changed:
        return
    if request.instalments >= changed:
        raise InvalidArgument(
            "instalments",
            f"are {request.instalments}; {changed} change, and fewer end the loan sooner; more_periods"
            " end it later",
        )
    left = request.instalments or changed + request.more_periods
    for name in ("grace_principal", "grace_interest"):
        if (grace := getattr(request, name)) >= left:
            raise InvalidArgument(
                name, f"is {grace}; below the {left} instalments that change is right"
            )


def _changed(then: Loan, first_due: date | None) -> list[Period]:
    """The periods of the instalments that change, from the one due on a date on, or the running one."""
    ahead = [row.instalment.period for row in then.rows[then.due_count :]]
    return [period for period in ahead if first_due is None or period.end >= first_due]


def read_pause(request: pb.PauseArrearsRequest, value_date: date) -> date:
    """The first day that counts again. Raises InvalidArgument where it is too early or too late."""
    until, last = read_date("until", request.until), value_date + timedelta(days=LONGEST_PAUSE)
    if not value_date <= until <= last:
        raise InvalidArgument("until", f"is {until}; from {value_date} to {last} is right")
    return until


def read_waiver(
    transaction: Connection,
    held: Held,
    request: pb.WaiveLoanRequest,
    value_date: date,
    event_id: str,
) -> Waived | ClaimWaived:
    """What is given up: of what was due on the value date, or of a claim that stood then.

    Raises FailedPrecondition NOT_WRITTEN_OFF for costs of a loan that is on the books;
    WAIVER_EXCEEDS_DUE for what came to be due only after a waiver's place in the order of its day.
    """
    check_value_date(held, value_date, held.loan.business_date)
    charges = request.penalty, request.compound, request.fee
    after = standing_on(transaction, held, value_date)
    if after.claim is not None:
        claimed = request.interest + sum(charges)
        return ClaimWaived(value_date, event_id, request.principal, claimed, request.legal_costs)
    if request.legal_costs:
        raise FailedPrecondition(
            Reason.NOT_WRITTEN_OFF, "costs are given up of a loan that is written off"
        )
    waived = Waived(value_date, event_id, request.interest, *charges, request.principal)
    check(held.terms, after, waived)
    before = standing_before(transaction, held, waived)
    check_due(before, waived, " before the money and the acceleration of that day")
    return waived


def _product(transaction: Connection, held: Held) -> Product:
    """The version the loan was born with."""
    contract = held.contract
    return products.get(transaction, contract.product_code, contract.product_version)


def check_extension(transaction: Connection, held: Held, more_periods: int) -> None:
    """Raises FailedPrecondition EXTENSION_TOO_LONG (贷款通则 §12) for more periods than the law leaves.

    What a restructuring of arrears (re_age) added, or a holiday moved, was no extension.
    """
    made = standing(loans.events_of(transaction, held.contract.loan_id))
    plans = [each.plan for each in made if isinstance(each, Rescheduled)]
    already = sum(plan.more_periods for plan in plans if not plan.re_age)
    most = most_more_periods(held.terms, held.contract.start_date)
    if already + more_periods > most:
        raise FailedPrecondition(
            Reason.EXTENSION_TOO_LONG,
            f"a loan of {held.terms.periods} periods is extended by at most {most} in all; it was by"
            f" {already}",
        )


def check_agreed_end(held: Held, then: Loan, plan: Plan) -> None:
    """Raises FailedPrecondition EXTENSION_TOO_LONG for due dates as agreed that end the loan later than
    the law lets it be extended to (贷款通则 §12), and than it ended on the value date. Those of a
    restructuring of arrears (re_age) are no extension.
    """
    if not plan.due_dates or plan.re_age:
        return
    terms, agreed = held.terms, plan.due_dates
    changed = _changed(then, plan.from_due)
    count = plan.instalments or len(changed) + plan.more_periods
    follow = max(count - len(agreed), 0)
    ends = later(terms.frequency, agreed[-1], follow, agreed[-1].day, terms.month_end)
    last = [period.end for period in changed[-1:]]
    most = max([latest_end(terms, held.contract.start_date), *last])
    if ends > most:
        raise FailedPrecondition(
            Reason.EXTENSION_TOO_LONG, f"the loan would end on {ends}; {most} or sooner is right"
        )


def check_fee(transaction: Connection, held: Held, name: str, amount: int) -> None:
    """Raises FailedPrecondition FEE_NOT_DISCLOSED for a fee that is not the product's, COST_OVER_CAP
    for one that makes the loan dearer than it might be when it was signed.
    """
    if name not in {fee.name for fee in held.terms.fees}:
        disclosed = ", ".join(sorted(fee.name for fee in held.terms.fees)) or "none"
        raise FailedPrecondition(
            Reason.FEE_NOT_DISCLOSED, f"the loan's cost table has these fees: {disclosed}"
        )
    past = standing(loans.events_of(transaction, held.contract.loan_id))
    signed, product = held.contract.start_date, _product(transaction, held)
    loan_costs.check(transaction, held, product, past, amount, signed)


def freeze_where_lost(transaction: Connection, enacted: Enacted, day: date) -> None:
    """Nothing more is drawn, until somebody has looked, on the line of a loan whose principal was not
    repaid but given up or taken in kind.
    """
    own = {each.event for each in enacted.postings if each.cause == enacted.event.event_id}
    if own & NOT_REPAID:
        contract = enacted.after.contract
        line_changes.freeze(transaction, contract, day, "was given up, or taken in kind")


def reverse(
    transaction: Connection, held: Held, event_id: str, day: date, reference: str
) -> Enacted:
    """An event of the loan did not happen.

    Raises NotFound; FailedPrecondition ALREADY_REVERSED, NOT_REVERSIBLE.
    """
    loan_id = held.contract.loan_id
    kind = transaction.execute(
        select(loan_event.c.kind).where(
            loan_event.c.loan_id == loan_id, loan_event.c.event_id == event_id
        )
    ).scalar()
    if kind is None:
        raise NotFound("loan event", event_id)
    if kind in IRREVERSIBLE:
        raise FailedPrecondition(Reason.NOT_REVERSIBLE, f"{kind} is not taken back", event_id)
    if _is_repayment(transaction, loan_id, event_id):
        raise FailedPrecondition(
            Reason.NOT_REVERSIBLE, "a repayment is taken back by ReverseRepayment", event_id
        )
    if event_id in loans.reversed_events(transaction, loan_id):
        raise FailedPrecondition(Reason.ALREADY_REVERSED, "it was taken back before", event_id)
    event = Reversed(day, held.next_event_id, event_id)
    return enact(transaction, held, event, day, reference=reference)


def _is_repayment(transaction: Connection, loan_id: str, event_id: str) -> bool:
    query = select(repayment.c.repayment_id).where(
        repayment.c.loan_id == loan_id, repayment.c.event_id == event_id
    )
    return transaction.execute(query).first() is not None
