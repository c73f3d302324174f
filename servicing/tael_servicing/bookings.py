"""Postings of loans and lines as requests to the ledger, one by one or in columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, insert

from tael.ledger.v1 import ledger_pb2 as ledger
from tael_client.values import from_date
from tael_runtime import later
from tael_servicing import loan_store, outgoing, parties
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.line_tree import CreditLine
from tael_servicing.loans import Contract, Held
from tael_servicing.outgoing import Outgoing
from tael_servicing.paging import pages
from tael_servicing.parties import Told
from tael_servicing.tables import loan_posting

OF_THE_LOAN_ALONE = frozenset(
    {
        "INTEREST_ACCRUED",
        "INTEREST_DUE",
        "PRINCIPAL_OVERDUE",
        "NON_ACCRUAL_ENTERED",
        "IMPAIRED_INTEREST_ACCRUED",
        "ALLOWANCE_ADJUSTED",
        "ORIGINATION_FEE_AMORTISED",
    }
)
"""Events whose rules touch only the loan's own accounts: these go in columns."""

KEEP = insert(loan_posting)

EVENTS_A_REQUEST = 1000
OWNERS_A_CHUNK = 20_000


@dataclass(frozen=True)
class Batch:
    """What the postings of one transaction share."""

    request_id: str
    book_id: str
    lane: str
    business_date: date


@dataclass(frozen=True)
class Columns:
    """One event of many loans or lines of a product, on one side of the balance sheet."""

    event: str
    value_date: date
    product_code: str
    accruing: bool
    owner_ids: Sequence[str]
    amounts: Mapping[str, Sequence[int]]
    """Minor units by amount type, as long as `owner_ids`."""
    owner_type: str = "LOAN"


def with_amounts(posting: Posting, **amounts: int) -> Posting:
    """The posting with more amounts; zeros left out."""
    more = {name: value for name, value in amounts.items() if value}
    return posting._replace(amounts={**posting.amounts, **more})


def post(transaction: Connection, batch: Batch, held: Held, *made: Posting) -> Held:
    """Stores a locked loan's postings as one request, nothing where there are none; the loan then."""
    if not made:
        return held
    pairs = [(held.contract, posting) for posting in made]
    outgoing.store(transaction, _request(batch, _events(transaction, batch, pairs, _last(held))))
    return held.posted(len(made))


def _last(held: Held) -> dict[str, int]:
    assert held.stored is not None, "what posts is stored"
    return {held.contract.loan_id: held.stored.last_posting}


def post_many(
    transaction: Connection, batch: Batch, made: Sequence[tuple[Contract, Posting]]
) -> None:
    """Stores many loans' postings: in columns what the loans' own accounts bear, else as events."""
    last = loan_store.last_postings(transaction, {contract.loan_id for contract, _ in made})
    columns: defaultdict[tuple[str, str, bool, date], list[tuple[Contract, Posting]]]
    columns = defaultdict(list)
    singles = []
    for contract, posting in made:
        if posting.event in OF_THE_LOAN_ALONE:
            key = (posting.event, contract.product_code, posting.accruing, posting.value_date)
            columns[key].append((contract, posting))
        else:
            singles.append((contract, posting))
    for number, group in enumerate(columns.values(), 1):
        _post_columns(transaction, part_of(batch, f"c{number}"), group, last)
    for number, page in enumerate(pages(singles, EVENTS_A_REQUEST), 1):
        part = part_of(batch, f"e{number}")
        outgoing.store(transaction, _request(part, _events(transaction, part, page, last)))


def post_line(
    transaction: Connection, batch: Batch, line: CreditLine, event: str, **amounts: int
) -> None:
    """Stores LINE_GRANTED, LINE_ADJUSTED or LINE_CLOSED; nothing where nothing moves."""
    if not any(amounts.values()):
        return
    told = ledger.BusinessEvent(
        event=event,
        value_date=from_date(batch.business_date),
        product=line.product_code,
        owners=_owners({"CUSTOMER": line.customer_id, "LINE": line.line_id}),
        amounts=_amounts(amounts),
        source=f"servicing/line/{line.line_id}",
    )
    outgoing.store(transaction, _request(batch, [told]))


def post_apart(
    transaction: Connection,
    batch: Batch,
    event: str,
    amounts: Mapping[str, int],
    owners: Mapping[str, str],
    reference: str = "",
    value_date: date | None = None,
) -> None:
    """Stores an event of no loan of ours: a receipt's, a partner's, the book's; owners by type.

    `value_date`: the business date where not given.
    """
    told = ledger.BusinessEvent(
        event=event,
        value_date=from_date(value_date or batch.business_date),
        owners=_owners(owners),
        amounts=_amounts(amounts),
        source=f"servicing/{batch.request_id}",
    )
    outgoing.store(transaction, _request(batch, [told]))
    words = Told(batch.book_id, batch.business_date, event, owners.get("LOAN", ""), reference)
    parties.move(transaction, words, amounts, owners)


def post_line_adjusted(
    transaction: Connection, batch: Batch, line: CreditLine, change: int
) -> None:
    """Stores LINE_ADJUSTED by what the line's commitment (7201) changed."""
    up, down = max(change, 0), max(-change, 0)
    post_line(transaction, batch, line, "LINE_ADJUSTED", increase=up, decrease=down)


def post_reversal(
    transaction: Connection, batch: Batch, held: Held, origin: Posting, sequence: int
) -> Held:
    """Stores the red-ink reversal of an entry, and what it takes back from the locked loan; the loan
    then.
    """
    undone = {name: -amount for name, amount in origin.amounts.items()}
    _write(transaction, batch, [(held.contract, origin._replace(amounts=undone))], _last(held))
    request = ledger.ReverseEntryRequest(
        request_id=batch.request_id,
        book_id=batch.book_id,
        sequence=sequence,
        reason="the payout failed",
    )
    outgoing.store(
        transaction, outgoing.single("ReverseEntry", request, batch.lane, batch.business_date)
    )
    return held.posted(1)


def part_of(batch: Batch, suffix: str) -> Batch:
    """The batch as one of several requests."""
    return replace(batch, request_id=f"{batch.request_id}:{suffix}")


def _request(batch: Batch, events: list[ledger.BusinessEvent]) -> Outgoing:
    request = ledger.RecordEventsRequest(
        request_id=batch.request_id,
        book_id=batch.book_id,
        events=events,
        booking_date=from_date(batch.business_date),
    )
    return outgoing.single("RecordEvents", request, batch.lane, batch.business_date)


def _events(
    transaction: Connection,
    batch: Batch,
    made: list[tuple[Contract, Posting]],
    last: dict[str, int],
) -> list[ledger.BusinessEvent]:
    sources = _write(transaction, batch, made, last)
    return [
        ledger.BusinessEvent(
            event=posting.event,
            value_date=from_date(posting.value_date),
            product=contract.product_code,
            accrual_status=_status(accruing=posting.accruing),
            owners=_owners(
                {
                    "CUSTOMER": contract.customer_id,
                    **({"LINE": contract.line_id} if contract.line_id else {}),
                    "LOAN": contract.loan_id,
                    **dict(posting.owners),
                }
            ),
            amounts=_amounts(posting.amounts),
            source=source,
        )
        for (contract, posting), source in zip(made, sources, strict=True)
    ]


def _owners(owners: Mapping[str, str]) -> list[ledger.Owner]:
    return [
        ledger.Owner(owner_type=name, owner_id=owner)
        for name, owner in owners.items()
        if name not in parties.OURS_ALONE
    ]


def _amounts(amounts: Mapping[str, int]) -> list[ledger.EventAmount]:
    return [
        ledger.EventAmount(amount_type=name, minor_units=amount)
        for name, amount in amounts.items()
        if amount
    ]


def _post_columns(
    transaction: Connection,
    batch: Batch,
    group: list[tuple[Contract, Posting]],
    last: dict[str, int],
) -> None:
    _write(transaction, batch, group, last, f"servicing/{batch.request_id}")
    first = group[0][1]
    names = sorted({name for _, posting in group for name in posting.amounts})
    columns = Columns(
        first.event,
        first.value_date,
        group[0][0].product_code,
        first.accruing,
        [contract.loan_id for contract, _ in group],
        {name: [posting.amounts.get(name, 0) for _, posting in group] for name in names},
    )
    post_columns(transaction, batch, columns)


def post_columns(transaction: Connection, batch: Batch, columns: Columns) -> None:
    """Stores one event of many loans or lines as one request."""
    header = ledger.EventColumnsHeader(
        request_id=batch.request_id,
        book_id=batch.book_id,
        event=columns.event,
        value_date=from_date(columns.value_date),
        product=columns.product_code,
        accrual_status=_status(accruing=columns.accruing),
        owner_type=columns.owner_type,
        amount_types=list(columns.amounts),
        source=f"servicing/{batch.request_id}",
        booking_date=from_date(batch.business_date),
    )
    parts = [ledger.RecordEventColumnsRequest(header=header)]
    for start in range(0, len(columns.owner_ids), OWNERS_A_CHUNK):
        page = slice(start, start + OWNERS_A_CHUNK)
        chunk = ledger.EventColumnsChunk(
            owner_ids=columns.owner_ids[page],
            columns=[
                ledger.AmountColumn(minor_units=amounts[page])
                for amounts in columns.amounts.values()
            ],
        )
        parts.append(ledger.RecordEventColumnsRequest(chunk=chunk))
    outgoing.store(
        transaction,
        Outgoing(
            batch.request_id,
            batch.book_id,
            batch.lane,
            batch.business_date,
            "RecordEventColumns",
            outgoing.packed(*parts),
        ),
    )


def _status(*, accruing: bool) -> ledger.AccrualStatus.ValueType:
    return ledger.ACCRUAL_STATUS_ACCRUAL if accruing else ledger.ACCRUAL_STATUS_NON_ACCRUAL


def _write(
    transaction: Connection,
    batch: Batch,
    made: Iterable[tuple[Contract, Posting]],
    last: dict[str, int],
    shared_source: str = "",
) -> list[str]:
    """Keeps what each loan posts, numbered on from the `last`; returns the sources, in order."""
    rows, sources = [], []
    for contract, posting in made:
        number = last[contract.loan_id] = last[contract.loan_id] + 1
        sources.append(shared_source or f"servicing/loan/{contract.loan_id}/{number}")
        rows.append(
            {
                "loan_id": contract.loan_id,
                "number": number,
                "event": posting.event,
                "value_date": posting.value_date,
                "booked_on": batch.business_date,
                "amounts": dict(posting.amounts),
                "owners": dict(posting.owners),
                "cause": posting.cause,
                "request_id": batch.request_id,
                "source": sources[-1],
            }
        )
        if posting.event in parties.EVENTS:
            owners = {"LOAN": contract.loan_id, **dict(posting.owners)}
            words = Told(
                batch.book_id,
                batch.business_date,
                posting.event,
                contract.loan_id,
                batch.request_id,
            )
            parties.move(transaction, words, posting.amounts, owners)
    later.write(transaction, KEEP, *rows)
    return sources
