"""Settlement files of channels, held against what we know they collected: to the cent.

A file is booked as it says: 1221.01 then holds what is not handed over yet, and the differences that
are open, by payment (`transit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sqlalchemy import Connection, select

from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_runtime.errors import AlreadyExists
from tael_runtime.ids import new_id
from tael_servicing import bank_statements, debits, differences, settlements, transit
from tael_servicing.books import BookDay
from tael_servicing.debit_results import Result, Verdict, judge, taken
from tael_servicing.debits import Debit
from tael_servicing.differences import Found
from tael_servicing.reasons import Reason
from tael_servicing.settlements import Settlement
from tael_servicing.tables import direct_debit


def record(
    transaction: Connection, book: BookDay, request: pb.RecordSettlementRequest, collected_on: date
) -> pb.RecordSettlementResponse:
    """Books a checked file and holds its lines against what we know was collected.

    Raises AlreadyExists SETTLEMENT_EXISTS.
    """
    held = request.account == pb.SETTLEMENT_ACCOUNT_HELD
    settlement = Settlement(
        settlement_id=new_id("st"),
        book_id=book.book_id,
        reference=request.reference,
        currency_code=book.currency_code,
        collected_on=collected_on,
        booked_on=book.business_date,
        gross=request.gross,
        fee=request.fee,
        at_bank=0,
        held=held,
        awaited=not held and request.gross > request.fee,
    )
    if not settlements.keep(transaction, settlement):
        raise AlreadyExists(
            Reason.SETTLEMENT_EXISTS, f"settlement {request.reference!r} is recorded already"
        )
    amounts = {
        settlement.account: settlement.net,
        "fee": settlement.fee,
        "fee_vat": request.fee_vat,
    }
    settlements.post(transaction, book, settlement.settlement_id, "CHANNEL_SETTLED", amounts)
    matching = _hold_against(transaction, book, settlement, request.lines)
    queued = differences.queue(transaction, book, matching.found)
    queued += differences.queue(transaction, book, _missed(transaction, settlement))
    queued += bank_statements.credited(transaction, book, [settlement.reference]).queued
    return pb.RecordSettlementResponse(
        settlement=settlement.message(), matched=matching.matched, queued=queued
    )


@dataclass
class _Matching:
    changed: dict[str, Debit] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    matched: int = 0


def _hold_against(
    transaction: Connection,
    book: BookDay,
    settlement: Settlement,
    lines: Sequence[pb.SettlementLine],
) -> _Matching:
    payment_ids = [line.payment_id for line in lines]
    held = debits.lock(transaction, payment_ids)
    left = transit.in_transit(transaction, book.book_id, payment_ids)
    matching = _Matching()
    for number, line in enumerate(lines, 1):
        known = held.get(line.payment_id)
        debit = known if known is not None and known.book_id == book.book_id else None
        result = Result(line.payment_id, "SUCCESS", line.amount)
        if debit is None and line.payment_id in left:
            settled, found = None, compare(left[line.payment_id], result, settlement.settlement_id)
            left[line.payment_id] -= line.amount
        else:
            settled, found = match(debit, result, settlement.settlement_id)
        if found is not None:
            source = f"{settlement.settlement_id}:{number}"
            matching.found.append(replace(found, source=source))
        matching.matched += found is None
        if settled is not None:
            held[line.payment_id] = matching.changed[line.payment_id] = settled
    debits.save(transaction, list(matching.changed.values()))
    why = f"handed over in settlement {settlement.reference}"
    differences.cure(transaction, book, ["MISSING_AT_CHANNEL"], payment_ids, why)
    handed_over = [(line.payment_id, line.amount) for line in lines]
    transit.hand_over(transaction, book, settlement.settlement_id, handed_over)
    return matching


def match(
    debit: Debit | None, result: Result, settlement_id: str
) -> tuple[Debit | None, Found | None]:
    """The debit with the line that settles it, and what disagrees; None where nothing does.

    A line for a debit under way is its result too: what a channel hands over it has collected.
    """

    def differs(kind: str, ours: int, detail: str) -> Found:
        return _differs(result, settlement_id, kind, ours, detail)

    verdict = judge(debit, result)
    if debit is None:
        return None, differs("MISSING_HERE", 0, "the debit is none of ours")
    if verdict is Verdict.TAKEN:
        return replace(taken(debit, result), settlement_id=settlement_id), None
    if debit.settlement_id:
        return None, differs("DUPLICATE", 0, f"handed over before, in {debit.settlement_id}")
    if verdict is Verdict.RESULT_CONTRADICTS:
        return None, differs("MISSING_HERE", 0, f"the debit is {debit.state} here")
    settled = replace(debit, settlement_id=settlement_id) if debit.moved else None
    if verdict is Verdict.AMOUNT_DIFFERS:
        detail = f"the debit is {debit.state} here, asked {debit.amount}"
        return settled, differs("AMOUNT_DIFFERS", debit.debited, detail)
    return settled, None


def compare(left: int, result: Result, settlement_id: str) -> Found | None:
    """What disagrees in the line of a payment that no debit of ours asked for, of which so much is in
    transit.
    """
    if left == result.amount:
        return None
    if left > 0:
        return _differs(
            result, settlement_id, "AMOUNT_DIFFERS", left, "another amount was recorded"
        )
    detail = "nothing of it is in transit: handed over before, or taken back here"
    return _differs(result, settlement_id, "DUPLICATE", 0, detail)


def _differs(result: Result, settlement_id: str, kind: str, ours: int, detail: str) -> Found:
    return Found(kind, result.payment_id, ours, result.amount, detail, settlement_id=settlement_id)


def _missed(transaction: Connection, settlement: Settlement) -> list[Found]:
    """What was collected on the file's date or before and is in no file."""
    rows = transaction.execute(
        select(direct_debit.c.payment_id, direct_debit.c.debited)
        .where(
            direct_debit.c.book_id == settlement.book_id,
            direct_debit.c.business_date <= settlement.collected_on,
            direct_debit.c.settlement_id == "",
            direct_debit.c.state.in_(debits.MOVED),
        )
        .order_by(direct_debit.c.payment_id)
    )
    collected = [(row.payment_id, row.debited) for row in rows]
    collected += transit.missed(transaction, settlement.book_id, settlement.collected_on)
    detail = f"a success that settlement {settlement.reference} lacks"
    return [
        Found(
            "MISSING_AT_CHANNEL",
            payment_id,
            ours=amount,
            theirs=0,
            detail=detail,
            settlement_id=settlement.settlement_id,
        )
        for payment_id, amount in collected
    ]
