"""Books: one legal entity, one currency, one business date that only CloseDay moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tael_ledger import rules_store
from tael_ledger.chain import GENESIS
from tael_ledger.chart import Chart, GlAccount, chart_of, default_chart
from tael_ledger.drafts import Terms
from tael_ledger.posting_rules import default_rules
from tael_ledger.prepared import Prepared
from tael_ledger.reasons import Reason
from tael_ledger.tables import book as books
from tael_ledger.tables import gl_account
from tael_runtime.errors import AlreadyExists, NotFound


@dataclass(frozen=True)
class Book:
    """One set of books, as of a transaction."""

    book_id: str
    legal_entity: str
    currency_code: str
    time_zone: str
    """IANA name."""
    lender_type: str
    vat_mode: str
    non_accrual_policy: str
    first_date: date
    """Its first business date."""
    business_date: date
    rules_version: int
    """Of the posting rules in force on the business date."""
    accounts_opened: int = 0
    reservations_made: int = 0
    last_batch: int = 0
    last_sequence: int = 0
    digest: bytes = GENESIS
    """Of the chain's newest link."""

    @property
    def terms(self) -> Terms:
        """What its posting rules may depend on."""
        return Terms(self.lender_type, self.vat_mode)


def create(transaction: Connection, book: Book, caller: str) -> Book:
    """Opens a book with the default chart of accounts and posting rules version 1.

    Raises AlreadyExists BOOK_EXISTS.
    """
    opened = upsert(books).values(**book.__dict__).on_conflict_do_nothing()
    if not transaction.execute(opened).rowcount:
        raise AlreadyExists(Reason.BOOK_EXISTS, f"there is a book {book.book_id!r}")
    transaction.execute(
        insert(gl_account),
        [{"book_id": book.book_id, **row.__dict__} for row in default_chart().values()],
    )
    rules_store.seed(transaction, book.book_id, book.business_date, default_rules(), caller)
    open_months(transaction, book.business_date)
    return book


def open_months(transaction: Connection, business_date: date) -> None:
    """Makes sure of the journal's partitions of a date's month and the next."""
    for day in (business_date, business_date.replace(day=1) + timedelta(days=31)):
        transaction.execute(select(func.open_month(day)))


def get(connection: Connection, book_id: str, *, lock: bool = False) -> Book:
    """One book; `lock` holds it for the transaction. Raises NotFound."""
    query = select(books).where(books.c.book_id == book_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("book", book_id)
    return _book(row)


COLUMNS = [column.name for column in books.columns]
LOCK = Prepared(
    "lock_book",
    "text",
    f"SELECT {', '.join(COLUMNS)}, clock_timestamp() FROM book WHERE book_id = $1 FOR UPDATE",  # noqa: S608  our own columns
)


def lock(transaction: Connection, book_id: str) -> tuple[Book, datetime]:
    """A book held for the transaction, and the store's clock. Raises NotFound."""
    for *row, now in LOCK.rows(transaction, book_id):
        values = dict(zip(COLUMNS, row, strict=True))
        return Book(**{**values, "digest": bytes(values["digest"])}), now
    raise NotFound("book", book_id)


def page(connection: Connection, after: str, size: int) -> list[Book]:
    """Books by id, after one."""
    query = select(books).where(books.c.book_id > after).order_by(books.c.book_id).limit(size)
    return [_book(row) for row in connection.execute(query)]


def chart(connection: Connection, book_id: str) -> Chart:
    """A book's chart of accounts. Raises NotFound."""
    get(connection, book_id)
    rows = connection.execute(
        select(
            gl_account.c.code,
            gl_account.c.name,
            gl_account.c.english_name,
            gl_account.c.account_class,
            gl_account.c.normal_side,
        ).where(gl_account.c.book_id == book_id)
    )
    return chart_of(GlAccount(**row._mapping) for row in rows)  # noqa: SLF001  SQLAlchemy's public name


def _book(row: Row[tuple[object, ...]]) -> Book:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public name
    return Book(**{**values, "digest": bytes(values["digest"])})
