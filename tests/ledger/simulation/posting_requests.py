"""Draws of what posts: events, columns, entries on named accounts, reversals."""

from __future__ import annotations

from collections.abc import Callable

from ledger.simulation.draws import CASH, HOT_INCOME, WALLETS, World
from ledger.simulation.operations import Operation

from tael.ledger.v1 import ledger_pb2 as pb

HOT_EVENTS = ("INTEREST_ACCRUED", "LOAN_DISBURSED", "REPAYMENT_RECEIVED")
SOURCES = ("servicing/loan", "servicing/line", "manual", "")


def event(world: World) -> pb.BusinessEvent:
    """One that the rules know, rarely one that they do not."""
    dice = world.dice
    rules = world.state.rules_in_force().rules
    names = sorted({rule.event for rule in rules})
    hot = [name for name in names if name in HOT_EVENTS]
    name = dice.choice(hot if hot and world.chance(0.5) else names)
    known = [rule for rule in rules if rule.event == name]
    status = dice.choice(sorted({int(rule.accrual_status) for rule in known}))
    types = sorted({r.amount_type for r in known if r.accrual_status in (0, status)})
    chosen = dice.sample(types, dice.randint(1, min(3, len(types))))
    if world.chance(0.02):
        chosen.append("tips")
    return pb.BusinessEvent(
        event=name if not world.chance(0.02) else "LOAN_DANCED",
        value_date=world.day(40, future=0.02),
        product=dice.choice(("", "", "CASH")),
        accrual_status=pb.AccrualStatus.ValueType(status),
        owners=world.owners(),
        amounts=[
            pb.EventAmount(amount_type=t, minor_units=0 if world.chance(0.05) else world.amount())
            for t in chosen
        ],
        source=dice.choice(SOURCES),
        narrative=dice.choice(("", "as agreed", "按合同")),
        metadata=facts(world),
    )


def facts(world: World) -> dict[str, str]:
    """Searchable facts, or none."""
    if world.chance(0.6):
        return {}
    return {"channel": world.dice.choice(("app", "branch")), "teller": world.dice.choice("abc")}


def record_events(world: World) -> Operation:
    """Some events together."""
    request = pb.RecordEventsRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        events=[event(world) for _ in range(world.dice.choice((1, 1, 1, 2, 4)))],
        booking_date=world.booking_date(),
    )
    return Operation("RecordEvents", (request,))


def record_event_columns(world: World) -> Operation:
    """A night's interest of many loans, in chunks."""
    dice = world.dice
    types = dice.sample(("interest", "penalty", "compound"), dice.randint(1, 3))
    if world.chance(0.03):
        types.append("tips")
    header = pb.EventColumnsHeader(
        request_id=world.request_id,
        book_id=world.book_id,
        event="INTEREST_ACCRUED",
        value_date=world.day(5, future=0.02),
        accrual_status=dice.choice((pb.ACCRUAL_STATUS_ACCRUAL, pb.ACCRUAL_STATUS_NON_ACCRUAL)),
        owner_type="LOAN" if not world.chance(0.03) else "CUSTOMER",
        amount_types=types,
        source="eod",
        booking_date=world.booking_date(),
    )
    parts = [pb.RecordEventColumnsRequest(header=header)]
    for _ in range(dice.randint(1, 3)):
        owner_ids = sorted({world.owner_id("LOAN") for _ in range(dice.randint(1, 12))})
        columns = [
            pb.AmountColumn(
                minor_units=[0 if world.chance(0.2) else world.amount() for _ in owner_ids]
            )
            for _ in types
        ]
        chunk = pb.EventColumnsChunk(owner_ids=owner_ids, columns=columns)
        parts.append(pb.RecordEventColumnsRequest(chunk=chunk))
    return Operation("RecordEventColumns", tuple(parts))


def reverse_entry(world: World) -> Operation:
    """Of any entry, recent ones first; reversals and strangers among them."""
    dice = world.dice
    newest = len(world.state.entries)
    chosen = newest + 3 if world.chance(0.03) else 1 + int(newest * (1 - dice.random() ** 2))
    request = pb.ReverseEntryRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        sequence=max(1, chosen),
        reason=dice.choice(("wrong amount", "客户撤销")),
        kind=pb.ReversalKind.ValueType(dice.choice((0, 1, 1, 2))),
    )
    return Operation("ReverseEntry", (request,))


def lines(world: World) -> list[pb.PostingLine]:
    """Balanced lines, rarely not: a transfer between wallets, or from cash to anywhere."""
    dice = world.dice
    amount = abs(world.amount()) if world.chance(0.95) else -dice.randint(1, 500)
    if world.chance(0.4):
        amount = dice.randint(1, 3_000)
        accounts = dice.sample((*WALLETS, CASH, CASH), 2)
    else:
        accounts = [_number(world), dice.choice((CASH, HOT_INCOME, _number(world)))]
    parts = [amount] if amount < 3 or world.chance(0.6) else [amount // 3, amount - amount // 3]
    found = [_line(accounts[0], pb.SIDE_DEBIT, part) for part in parts]
    found.append(_line(accounts[1], pb.SIDE_CREDIT, amount))
    if world.chance(0.1):
        found += [
            _line("7201", pb.SIDE_DEBIT, amount),
            _line("7999", pb.SIDE_CREDIT, amount),
        ]
    if world.chance(0.03):
        found[0].amount += 1 if found[0].amount != -1 else 2
    return found


def _number(world: World) -> str:
    code = "9999" if world.chance(0.01) else world.gl_code()
    if world.chance(0.4):
        return code
    owner_type = world.dice.choice(("LOAN", "CUSTOMER"))
    return f"{code}:{owner_type}:{world.owner_id(owner_type)}"


def _line(number: str, side: pb.Side.ValueType, amount: int) -> pb.PostingLine:
    return pb.PostingLine(account_number=number, side=side, amount=amount)


def new_entry(world: World) -> pb.NewEntry:
    """A named posting; rarely under an event that is the ledger's own."""
    dice = world.dice
    return pb.NewEntry(
        event="OPENING_BALANCE" if world.chance(0.01) else dice.choice(("TRANSFER", "ADJUSTMENT")),
        value_date=world.day(40, future=0.02),
        lines=lines(world),
        source=dice.choice(SOURCES),
        narrative=dice.choice(("", "by hand")),
        metadata=facts(world),
    )


def post_entries(world: World) -> Operation:
    """Some entries, each for itself or all together."""
    request = pb.PostEntriesRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        entries=[new_entry(world) for _ in range(world.dice.choice((1, 1, 2, 5)))],
        atomic=world.chance(0.4),
        booking_date=world.booking_date(),
    )
    return Operation("PostEntries", (request,))


def _columns(found: list[pb.PostingLine]) -> pb.LineColumns:
    debits = [ln.amount if ln.side == pb.SIDE_DEBIT else 0 for ln in found]
    return pb.LineColumns(
        account_numbers=[ln.account_number for ln in found],
        debits=debits,
        credits=[ln.amount - debit for ln, debit in zip(found, debits, strict=True)],
    )


def many_lines(world: World) -> list[pb.PostingLine]:
    """Hundreds of lines on the same two accounts, as sums kept for accounts of many lines need."""
    amounts = [abs(world.amount()) for _ in range(world.dice.randint(200, 450))]
    debits = [_line(CASH, pb.SIDE_DEBIT, amount) for amount in amounts]
    return debits + [_line(HOT_INCOME, pb.SIDE_CREDIT, amount) for amount in amounts]


def post_columns(world: World) -> Operation:
    """One entry in some chunks."""
    header = pb.PostColumnsHeader(
        request_id=world.request_id,
        book_id=world.book_id,
        event="MIGRATED_DAY",
        value_date=world.day(40, future=0.02),
        source="columns",
        booking_date=world.booking_date(),
    )
    parts = [pb.PostColumnsRequest(header=header)]
    for _ in range(world.dice.randint(1, 3)):
        found = [line for _ in range(world.dice.randint(1, 4)) for line in lines(world)]
        parts.append(pb.PostColumnsRequest(chunk=_columns(found)))
    if world.chance(0.2):
        parts.append(pb.PostColumnsRequest(chunk=_columns(many_lines(world))))
    return Operation("PostColumns", tuple(parts))


def import_opening_balances(world: World) -> Operation:
    """Balances of some accounts, each once, with control totals; rarely they do not agree."""
    dice = world.dice
    numbers = sorted({f"1303.01:LOAN:O{dice.randint(1, 120)}" for _ in range(dice.randint(1, 8))})
    found = [_line(number, pb.SIDE_DEBIT, dice.randint(1, 900_000)) for number in numbers]
    debits = sum(ln.amount for ln in found)
    found.append(_line("2011.01", pb.SIDE_CREDIT, debits))
    totals = pb.ControlTotals(
        accounts=len(found),
        debits=debits,
        credits=debits,
        gl_codes=[pb.ControlTotal(gl_code="1303.01", net=debits)],
    )
    if world.chance(0.3):
        totals.gl_codes[0].net += 1
    elif world.chance(0.2):
        totals.accounts += 1
    header = pb.OpeningBalancesHeader(
        request_id=world.request_id,
        book_id=world.book_id,
        value_date=world.day(10, future=0.02),
        source="migration",
        totals=totals,
    )
    cut = dice.randint(1, len(found))
    chunks = [chunk for chunk in (found[:cut], found[cut:]) if chunk]
    parts = [pb.ImportOpeningBalancesRequest(header=header)]
    parts += [pb.ImportOpeningBalancesRequest(chunk=_columns(chunk)) for chunk in chunks]
    return Operation("ImportOpeningBalances", tuple(parts))


DRAWS: list[tuple[int, Callable[[World], Operation]]] = [
    (30, record_events),
    (6, record_event_columns),
    (8, reverse_entry),
    (20, post_entries),
    (4, post_columns),
    (1, import_opening_balances),
]
