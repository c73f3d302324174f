"""What a channel hands over and the bank credits, held against our debits: three ways to the cent.

A settlement is booked as its file says: 1221.01 then holds what is not handed over yet, and the sum
of the open differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tael.ledger.v1 import ledger_pb2 as ledger
from tael.servicing.v1 import direct_debit_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.errors import AlreadyExists, InvalidArgument, NotFound
from tael_runtime.ids import new_id
from tael_servicing import debits, differences, outgoing
from tael_servicing.books import BookDay
from tael_servicing.debit_results import Result, Verdict, judge, taken
from tael_servicing.debits import Debit
from tael_servicing.differences import Found
from tael_servicing.reasons import Reason
from tael_servicing.tables import bank_line, channel_settlement, direct_debit


@dataclass(frozen=True)
class Settlement:
    """A channel's settlement file, minor units."""

    settlement_id: str
    book_id: str
    reference: str
    currency_code: str
    collected_on: date
    booked_on: date
    gross: int
    fee: int
    at_bank: int
    """Credited so far."""
    held: bool
    """By the channel, in an account it keeps for us."""
    awaited: bool
    """At the bank."""

    @property
    def net(self) -> int:
        """What is handed over."""
        return self.gross - self.fee

    @property
    def account(self) -> str:
        """The amount type of CHANNEL_SETTLED that goes where the net amount goes."""
        return "net_held" if self.held else "net"

    def message(self) -> pb.ChannelSettlement:
        """In the contract's words."""
        return pb.ChannelSettlement(
            settlement_id=self.settlement_id,
            book_id=self.book_id,
            reference=self.reference,
            collected_on=from_date(self.collected_on),
            booked_on=from_date(self.booked_on),
            gross=money(self.gross, self.currency_code),
            fee=money(self.fee, self.currency_code),
            net=money(self.net, self.currency_code),
        )


COLUMNS = [channel_settlement.c[name] for name in Settlement.__dataclass_fields__]


def get(transaction: Connection, settlement_id: str) -> Settlement:
    """One settlement. Raises NotFound."""
    query = select(*COLUMNS).where(channel_settlement.c.settlement_id == settlement_id)
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise NotFound("settlement", settlement_id)
    return Settlement(*row)


def record(
    transaction: Connection, book: BookDay, request: pb.RecordSettlementRequest, collected_on: date
) -> pb.RecordSettlementResponse:
    """Books a checked file and holds its lines against our debits.

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
    made = insert(channel_settlement).values(vars(settlement)).on_conflict_do_nothing()
    if not transaction.execute(made).rowcount:
        raise AlreadyExists(
            Reason.SETTLEMENT_EXISTS, f"settlement {request.reference!r} is recorded already"
        )
    amounts = {
        settlement.account: settlement.net,
        "fee": settlement.fee,
        "fee_vat": request.fee_vat,
    }
    post(transaction, book, settlement.settlement_id, "CHANNEL_SETTLED", amounts)
    matching = _hold_against(transaction, book, settlement, request.lines)
    missed = _missed(transaction, settlement)
    queued = differences.queue(transaction, book, [*matching.found, *missed])
    queued += _credited(transaction, book, [settlement.reference]).queued
    return pb.RecordSettlementResponse(
        settlement=settlement.message(), matched=matching.matched, queued=queued
    )


def post(
    transaction: Connection,
    book: BookDay,
    request_id: str,
    event: str,
    amounts: Mapping[str, int],
) -> None:
    """Stores what a settlement or a resolution of that id posts, in a lane of its own."""
    moved = {name: amount for name, amount in amounts.items() if amount}
    if not moved:
        return
    day = from_date(book.business_date)
    told = ledger.BusinessEvent(
        event=event,
        value_date=day,
        amounts=[ledger.EventAmount(amount_type=n, minor_units=a) for n, a in moved.items()],
        source=f"servicing/channel/{request_id}",
    )
    request = ledger.RecordEventsRequest(
        request_id=f"channel:{request_id}", book_id=book.book_id, events=[told], booking_date=day
    )
    outgoing.store(
        transaction, outgoing.single("RecordEvents", request, request_id, book.business_date)
    )


def sequences(transaction: Connection, posted_id: str) -> list[int]:
    """The entries the ledger made of what `post` stored."""
    request_id = f"channel:{posted_id}"
    posted = outgoing.vouchers(transaction, [request_id]).get(request_id, {})
    return sorted(sequence for each in posted.values() for sequence in each)


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
    held = debits.lock(transaction, [line.payment_id for line in lines])
    matching = _Matching()
    for number, line in enumerate(lines, 1):
        known = held.get(line.payment_id)
        debit = known if known is not None and known.book_id == book.book_id else None
        result = Result(line.payment_id, "SUCCESS", line.amount)
        settled, found = match(debit, result, settlement.settlement_id)
        if found is not None:
            source = f"{settlement.settlement_id}:{number}"
            matching.found.append(replace(found, source=source))
        matching.matched += found is None
        if settled is not None:
            held[line.payment_id] = matching.changed[line.payment_id] = settled
    debits.save(transaction, list(matching.changed.values()))
    why = f"handed over in settlement {settlement.reference}"
    differences.cure(transaction, book, ["MISSING_AT_CHANNEL"], list(matching.changed), why)
    return matching


def match(
    debit: Debit | None, result: Result, settlement_id: str
) -> tuple[Debit | None, Found | None]:
    """The debit with the line that settles it, and what disagrees; None where nothing does.

    A line for a debit under way is its result too: what a channel hands over it has collected.
    """

    def differs(kind: str, ours: int, detail: str) -> Found:
        return Found(
            kind, result.payment_id, ours, result.amount, detail, settlement_id=settlement_id
        )

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


def _missed(transaction: Connection, settlement: Settlement) -> list[Found]:
    """Our successes of the file's date or before that no file has."""
    rows = transaction.execute(
        select(direct_debit.c.payment_id, direct_debit.c.debited)
        .where(
            direct_debit.c.book_id == settlement.book_id,
            direct_debit.c.business_date <= settlement.collected_on,
            direct_debit.c.settlement_id == "",
            direct_debit.c.debited > 0,
        )
        .order_by(direct_debit.c.payment_id)
    )
    detail = f"a success that settlement {settlement.reference} lacks"
    return [
        Found(
            "MISSING_AT_CHANNEL",
            row.payment_id,
            ours=row.debited,
            theirs=0,
            detail=detail,
            settlement_id=settlement.settlement_id,
        )
        for row in rows
    ]


def record_statement(
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
    crediting = _credited(transaction, book, named)
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
class _Crediting:
    matched: int = 0
    queued: int = 0


def _credited(transaction: Connection, book: BookDay, references: Sequence[str]) -> _Crediting:
    """Adds up what the bank credited for settlements and holds it against their net amounts."""
    crediting = _Crediting()
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
