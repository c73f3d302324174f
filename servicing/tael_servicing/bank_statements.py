"""What the bank credited, or took, for settlements: the third side of the reconciliation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_runtime.errors import InvalidArgument
from tael_servicing import differences
from tael_servicing.books import BookDay
from tael_servicing.differences import Found
from tael_servicing.settlements import COLUMNS, Settlement
from tael_servicing.tables import bank_line, channel_settlement


def record(
    transaction: Connection,
    book: BookDay,
    request: pb.RecordBankStatementRequest,
    statement_date: date,
) -> pb.RecordBankStatementResponse:
    """Keeps the bank's credits and holds them against the settlements they name."""
    repeated = sum(
        not _keep(transaction, book, line, statement_date, f"lines[{index}]")
        for index, line in enumerate(request.lines)
    )
    named = sorted({line.settlement_reference for line in request.lines})
    crediting = credited(transaction, book, named)
    queued = crediting.queued
    queued += _unknown(transaction, book, request.lines)
    queued += _absent(transaction, book, statement_date)
    return pb.RecordBankStatementResponse(
        matched=crediting.matched, repeated_lines=repeated, queued=queued
    )


def _keep(transaction: Connection, book: BookDay, line: pb.BankLine, day: date, path: str) -> bool:
    """Keeps a line; False where it is known. Raises InvalidArgument where it is known otherwise."""
    row = {
        "book_id": book.book_id,
        "bank_reference": line.bank_reference,
        "settlement_reference": line.settlement_reference,
        "amount": line.amount,
    }
    made = insert(bank_line).values(**row, statement_date=day).on_conflict_do_nothing()
    if transaction.execute(made).rowcount:
        return True
    kept = select(*(bank_line.c[name] for name in row)).where(
        bank_line.c.book_id == book.book_id, bank_line.c.bank_reference == line.bank_reference
    )
    if transaction.execute(kept).one()._asdict() != row:
        raise InvalidArgument(
            f"{path}.bank_reference", "was recorded with another amount or settlement"
        )
    return False


@dataclass
class Crediting:
    """How many settlements the bank has whole, and how many differences that found."""

    matched: int = 0
    queued: int = 0


def credited(transaction: Connection, book: BookDay, references: Sequence[str]) -> Crediting:
    """Adds up what the bank credited for settlements and holds it against their net amounts."""
    crediting = Crediting()
    query = (
        select(*COLUMNS)
        .where(
            channel_settlement.c.book_id == book.book_id,
            channel_settlement.c.reference == func.any(list(references)),
        )
        .order_by(channel_settlement.c.reference)
        .with_for_update()
    )
    for row in transaction.execute(query).all():
        settlement = Settlement(*row)
        lines = transaction.execute(
            select(bank_line.c.bank_reference, bank_line.c.amount)
            .where(
                bank_line.c.book_id == book.book_id,
                bank_line.c.settlement_reference == settlement.reference,
            )
            .order_by(bank_line.c.bank_reference)
        ).all()
        total = sum(line.amount for line in lines)
        if total == settlement.at_bank:
            continue
        transaction.execute(
            update(channel_settlement)
            .where(channel_settlement.c.settlement_id == settlement.settlement_id)
            .values(at_bank=total, awaited=total != settlement.net)
        )
        subjects = [settlement.reference, *(line.bank_reference for line in lines)]
        kinds = ("MISSING_AT_BANK", "BANK_AMOUNT_DIFFERS", "BANK_LINE_UNKNOWN")
        why = f"the bank's credits of {settlement.reference} are {total}"
        differences.cure(transaction, book, kinds, subjects, why)
        if total == settlement.net:
            crediting.matched += 1
        else:
            crediting.queued += differences.queue(
                transaction, book, [_short(settlement, total, len(lines))]
            )
    return crediting


def _short(settlement: Settlement, total: int, lines: int) -> Found:
    return Found(
        "BANK_AMOUNT_DIFFERS",
        settlement.reference,
        ours=settlement.net,
        theirs=total,
        detail=f"{lines} credits at the bank",
        source=f"{lines}",
        settlement_id=settlement.settlement_id,
    )


def _unknown(transaction: Connection, book: BookDay, lines: Sequence[pb.BankLine]) -> int:
    """Queues credits for settlements that nobody recorded."""
    named = [line.settlement_reference for line in lines]
    known = set(
        transaction.execute(
            select(channel_settlement.c.reference).where(
                channel_settlement.c.book_id == book.book_id,
                channel_settlement.c.reference == func.any(named),
            )
        ).scalars()
    )
    found = [
        Found(
            "BANK_LINE_UNKNOWN",
            line.bank_reference,
            ours=0,
            theirs=line.amount,
            detail=f"for settlement {line.settlement_reference!r}",
        )
        for line in lines
        if line.settlement_reference not in known
    ]
    return differences.queue(transaction, book, found)


def _absent(transaction: Connection, book: BookDay, statement_date: date) -> int:
    """Queues settlements of earlier days that the bank has nothing of."""
    rows = transaction.execute(
        select(*COLUMNS)
        .where(
            channel_settlement.c.book_id == book.book_id,
            channel_settlement.c.awaited,
            channel_settlement.c.at_bank == 0,
            channel_settlement.c.booked_on < statement_date,
        )
        .order_by(channel_settlement.c.reference)
    )
    found = [
        Found(
            "MISSING_AT_BANK",
            settlement.reference,
            ours=settlement.net,
            theirs=0,
            detail=f"no credit by the statement of {statement_date}",
            settlement_id=settlement.settlement_id,
        )
        for settlement in (Settlement(*row) for row in rows)
    ]
    return differences.queue(transaction, book, found)
