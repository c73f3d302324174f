"""How a difference is resolved: one person proposes, a second decides, and what it means is booked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from tael_runtime.errors import FailedPrecondition
from tael_runtime.four_eyes import check_second_person, named_caller
from tael_runtime.idempotency import current_caller
from tael_servicing import debits, differences, receipts, settlements, transit
from tael_servicing.books import BookDay
from tael_servicing.differences import Difference
from tael_servicing.reasons import Reason
from tael_servicing.receipts import Parked

AT_CHANNEL = ("MISSING_AT_CHANNEL", "MISSING_HERE", "AMOUNT_DIFFERS", "DUPLICATE")
"""What stands on 1221.01 while it is open, where a settlement file brought it."""


def propose(
    transaction: Connection, difference_id: str, resolution: str, reason: str
) -> Difference:
    """The first person's word.

    Raises PermissionDenied CALLER_UNNAMED; FailedPrecondition DIFFERENCE_STATE, RESOLUTION_UNFIT.
    """
    maker = named_caller()
    found = differences.lock(transaction, difference_id)
    found.check_state("OPEN")
    proposed = replace(found, state="PROPOSED", resolution=resolution, reason=reason, maker=maker)
    _check_fits(transaction, proposed)
    differences.save(transaction, proposed)
    return proposed


def decide(
    transaction: Connection, book: BookDay, difference_id: str, *, approve: bool
) -> Difference:
    """The second person's word: carries the resolution out, or opens the difference again.

    Raises PermissionDenied MAKER_IS_CHECKER, CALLER_UNNAMED; FailedPrecondition DIFFERENCE_STATE,
    RESOLUTION_UNFIT.
    """
    found = differences.lock(transaction, difference_id)
    found.check_state("PROPOSED")
    check_second_person(found.maker, current_caller())
    if not approve:
        opened = replace(found, state="OPEN", resolution="", reason="", maker="")
        differences.save(transaction, opened)
        return opened
    _check_fits(transaction, found)
    DEEDS[found.resolution](transaction, book, found)
    resolved = replace(
        found, state="RESOLVED", checker=current_caller(), resolved_on=book.business_date
    )
    differences.save(transaction, resolved)
    return resolved


def _check_fits(transaction: Connection, found: Difference) -> None:
    """Raises FailedPrecondition RESOLUTION_UNFIT where the resolution does not fit the difference."""
    problem = _misfit(transaction, found)
    if problem:
        raise FailedPrecondition(Reason.RESOLUTION_UNFIT, problem, found.difference_id)


def _misfit(transaction: Connection, found: Difference) -> str:
    settled = found.kind in AT_CHANNEL and found.settlement_id != ""
    match found.resolution:
        case "EXPLAINED":
            stays = "it stands on 1221.01 until the money is booked, handed over or parked"
            return stays if settled else ""
        case "BOOK":
            return _not_to_book(transaction, found)
        case "HANDED_OVER":
            return "" if settled else "no settlement file brought it: there is nothing to hand over"
    too_much = settled and found.theirs > found.ours
    return "" if too_much else "no settlement file handed over more than is ours"


def _not_to_book(transaction: Connection, found: Difference) -> str:
    debit = debits.lock(transaction, [found.subject]).get(found.subject)
    if debit is None or debit.book_id != found.book_id:
        return "there is no debit of ours to book"
    if debit.moved:
        return "the debit is a success already"
    return "" if found.theirs > 0 else "the channel does not say that money moved"


def _explain(transaction: Connection, book: BookDay, found: Difference) -> None:
    """Nothing is booked."""
    del transaction, book, found


def _book(transaction: Connection, book: BookDay, found: Difference) -> None:
    """The debit succeeded after all; the day end allocates it."""
    del book
    (debit,) = debits.lock(transaction, [found.subject]).values()
    success = replace(
        debit,
        state="SUCCESS",
        debited=found.theirs,
        failure_code="",
        settlement_id=found.settlement_id or debit.settlement_id,
    )
    debits.save(transaction, [success])


def _hand_over(transaction: Connection, book: BookDay, found: Difference) -> None:
    """The channel makes it good, either way round."""
    origin, amount = settlements.get(transaction, found.settlement_id), found.ours - found.theirs
    settlements.make_good(transaction, book, origin, found.difference_id, amount)
    transit.hand_over(transaction, book, found.difference_id, [(found.subject, amount)])
    if found.kind == "MISSING_AT_CHANNEL":
        ours = debits.lock(transaction, [found.subject]).values()
        settled = [replace(debit, settlement_id=found.difference_id) for debit in ours]
        debits.save(transaction, settled)


def _park(transaction: Connection, book: BookDay, found: Difference) -> None:
    """What is nobody's is a receipt until its owner is known."""
    amount = found.theirs - found.ours
    receipts.park(
        transaction,
        Parked(
            receipt_id=found.difference_id,
            book_id=found.book_id,
            currency_code=found.currency_code,
            amount=amount,
            funding="CHANNEL",
            reference=found.subject,
            parked_on=book.business_date,
            left=amount,
        ),
    )


DEEDS: Mapping[str, Callable[[Connection, BookDay, Difference], None]] = {
    "EXPLAINED": _explain,
    "BOOK": _book,
    "HANDED_OVER": _hand_over,
    "PARKED": _park,
}
"""What each resolution does once it is approved."""
