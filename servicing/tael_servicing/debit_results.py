"""What a channel says of debits, held against what is known: taken, known already, or queued.

The answer of a call, a query, a result file and a settlement file are all judged here, so that it
does not matter which of them comes first, or how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from sqlalchemy import Connection

from tael.provider.v1 import payment_pb2 as provider
from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_servicing import debits, differences
from tael_servicing.books import BookDay
from tael_servicing.debits import Debit
from tael_servicing.differences import Found

STATUSES = {
    provider.PAYMENT_STATUS_SUCCESS: "SUCCESS",
    provider.PAYMENT_STATUS_FAILED: "FAILED",
}


@dataclass(frozen=True)
class Result:
    """What somebody says became of a debit."""

    payment_id: str
    status: str
    """SUCCESS, FAILED or UNKNOWN."""
    amount: int = 0
    """Minor units that moved."""
    failure_code: str = ""
    reference: str = ""


class Verdict(Enum):
    """What a result is to us."""

    TAKEN = auto()
    PENDING = auto()
    """Nobody knows yet."""
    REPEATED = auto()
    MISSING_HERE = auto()
    AMOUNT_DIFFERS = auto()
    DUPLICATE = auto()
    RESULT_CONTRADICTS = auto()


QUEUED = (
    Verdict.MISSING_HERE,
    Verdict.AMOUNT_DIFFERS,
    Verdict.DUPLICATE,
    Verdict.RESULT_CONTRADICTS,
)


def told(payment: provider.Payment) -> Result:
    """The channel's answer to a call or query."""
    status = STATUSES.get(payment.status, "UNKNOWN")
    return Result(
        payment.payment_id,
        status,
        payment.amount.minor_units if status == "SUCCESS" else 0,
        payment.failure_code,
        payment.reference,
    )


def of_message(result: pb.DebitResult) -> Result:
    """A result of a file or callback."""
    status = pb.ResultStatus.Name(result.status).removeprefix("RESULT_STATUS_")
    moved = result.amount if status == "SUCCESS" else 0
    return Result(result.payment_id, status, moved, result.failure_code, result.reference)


def judge(debit: Debit | None, result: Result) -> Verdict:
    """What a result is to a debit as it stands; None = it is nobody's here."""
    if debit is None:
        return Verdict.MISSING_HERE
    if result.status == "UNKNOWN":
        return Verdict.PENDING
    if debit.asked:
        fits = result.status == "FAILED" or debit.may_bring(result.amount)
        return Verdict.TAKEN if fits else Verdict.AMOUNT_DIFFERS
    return _judge_known(debit, result)


def _judge_known(debit: Debit, result: Result) -> Verdict:
    """What a result is to a debit of which more is known than that it was asked."""
    if debit.moved != (result.status == "SUCCESS") or debit.state in ("PREPARED", "CANCELLED"):
        return Verdict.RESULT_CONTRADICTS
    if debit.moved and result.amount != debit.debited:
        return Verdict.AMOUNT_DIFFERS
    if debit.moved and result.reference and debit.reference not in ("", result.reference):
        return Verdict.DUPLICATE
    return Verdict.REPEATED


def taken(debit: Debit, result: Result) -> Debit:
    """The debit with a result that was judged TAKEN."""
    return replace(
        debit,
        state=result.status,
        debited=result.amount,
        failure_code=result.failure_code if result.status == "FAILED" else "",
        reference=result.reference,
    )


@dataclass
class Recorded:
    """How many results were what."""

    verdicts: Counter[Verdict]
    late: int = 0

    @property
    def queued(self) -> int:
        """Of those not taken."""
        return sum(self.verdicts[each] for each in QUEUED)


def record(transaction: Connection, book: BookDay, results: Sequence[Result]) -> Recorded:
    """Takes what can be taken and queues what disagrees, in order."""
    held = debits.lock(transaction, [each.payment_id for each in results])
    recorded, changed, found = Recorded(Counter()), {}, []
    for result in results:
        known = held.get(result.payment_id)
        debit = known if known is not None and known.book_id == book.book_id else None
        verdict = judge(debit, result)
        recorded.verdicts[verdict] += 1
        if verdict in QUEUED:
            found.append(_found(verdict, debit, result))
        elif debit is not None and verdict is Verdict.TAKEN:
            recorded.late += debit.business_date < book.business_date
            held[debit.payment_id] = changed[debit.payment_id] = taken(debit, result)
        elif debit is not None and debit.state == "SENDING" and verdict is Verdict.PENDING:
            held[debit.payment_id] = changed[debit.payment_id] = replace(debit, state="UNKNOWN")
    debits.save(transaction, list(changed.values()))
    differences.queue(transaction, book, found)
    return recorded


def _found(verdict: Verdict, debit: Debit | None, result: Result) -> Found:
    known = "is none of ours" if debit is None else f"is {debit.state} here"
    detail = f"the debit {known}, the channel says {result.status} {result.failure_code}".rstrip()
    twice = verdict is Verdict.DUPLICATE
    if twice:
        detail = f"executed again as {result.reference}"
    return Found(
        verdict.name,
        result.payment_id,
        ours=debit.debited if debit is not None and not twice else 0,
        theirs=result.amount,
        detail=detail,
        source=result.reference if twice else result.status,
    )
