"""PartnerService: contract messages in, partners and their money, contract messages out."""

from __future__ import annotations

from decimal import Decimal

import grpc
from sqlalchemy import Connection

from tael.ledger.v1 import ledger_pb2 as ledger
from tael.servicing.v1 import partner_pb2 as pb
from tael.servicing.v1 import partner_pb2_grpc
from tael_client.values import to_decimal
from tael_runtime.errors import InvalidArgument
from tael_runtime.fields import read_amount
from tael_runtime.ids import new_id
from tael_runtime.paging import text_key, token
from tael_servicing import partners
from tael_servicing.book_desk import book_of, on_book, read_vat
from tael_servicing.bookings import Batch
from tael_servicing.books import BookDay
from tael_servicing.desk import Desk
from tael_servicing.partners import KINDS, LEAST_SHARE, MOST_SHARE, Partner
from tael_servicing.product_checks import rate_problem


class Partners(partner_pb2_grpc.PartnerServiceServicer):
    """Registers, books and tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def RegisterPartner(
        self, request: pb.RegisterPartnerRequest, context: grpc.ServicerContext
    ) -> pb.RegisterPartnerResponse:
        """Makes a partner known."""
        book = book_of(self._desk, request.book_id)
        roles = tuple(
            pb.PartnerRole.Name(role).removeprefix("PARTNER_ROLE_") for role in request.roles
        )
        partner = Partner(
            partner_id=request.partner_id,
            book_id=request.book_id,
            currency_code=book.currency_code,
            name=request.name,
            roles=roles,
            least_share=_least_share(request),
        )

        def work(transaction: Connection, day: BookDay) -> pb.RegisterPartnerResponse:
            del day
            made = partners.register(transaction, partner)
            return pb.RegisterPartnerResponse(partner=partners.messages(transaction, [made])[0])

        return on_book(
            self._desk,
            "RegisterPartner",
            request,
            pb.RegisterPartnerResponse,
            request.book_id,
            work,
        )

    def GetPartner(
        self, request: pb.GetPartnerRequest, context: grpc.ServicerContext
    ) -> pb.GetPartnerResponse:
        """One partner."""
        with self._db.read() as connection:
            found = partners.get(connection, request.partner_id)
            return pb.GetPartnerResponse(partner=partners.messages(connection, [found])[0])

    def ListPartners(
        self, request: pb.ListPartnersRequest, context: grpc.ServicerContext
    ) -> pb.ListPartnersResponse:
        """A page of a book's partners."""
        size = request.page_size or 100
        with self._db.read() as connection:
            after = text_key(request.page_token)
            found = partners.page(connection, request.book_id, after, size + 1)
            return pb.ListPartnersResponse(
                partners=partners.messages(connection, found[:size]),
                next_page_token=token(found[size - 1].partner_id) if len(found) > size else "",
            )

    def RecordPartnerMoney(
        self, request: pb.RecordPartnerMoneyRequest, context: grpc.ServicerContext
    ) -> pb.RecordPartnerMoneyResponse:
        """Books money with a partner."""
        event = pb.PartnerMoney.Name(request.money).removeprefix("PARTNER_MONEY_")
        with self._db.read() as connection:
            partner = partners.get(connection, request.partner_id)
        amounts = _amounts(request, event, book_of(self._desk, partner.book_id))

        def work(transaction: Connection, day: BookDay) -> pb.RecordPartnerMoneyResponse:
            held = partners.lock(transaction, request.partner_id, KINDS[event].role)
            batch = Batch(new_id("partner"), held.book_id, held.partner_id, day.business_date)
            partners.record(transaction, held, event, amounts, batch, request.reference)
            message = partners.messages(transaction, [held])[0]
            return pb.RecordPartnerMoneyResponse(partner=message)

        return on_book(
            self._desk,
            "RecordPartnerMoney",
            request,
            pb.RecordPartnerMoneyResponse,
            partner.book_id,
            work,
            lane=lambda _made: partner.partner_id,
        )

    def ListPartnerMovements(
        self, request: pb.ListPartnerMovementsRequest, context: grpc.ServicerContext
    ) -> pb.ListPartnerMovementsResponse:
        """What moved a partner's balances."""
        size = request.page_size or 100
        after = text_key(request.page_token)
        with self._db.read() as connection:
            partner = partners.get(connection, request.partner_id)
            found = partners.movements(connection, partner, after, size + 1)
        return pb.ListPartnerMovementsResponse(
            movements=[message for _, message in found[:size]],
            next_page_token=token(found[size - 1][0]) if len(found) > size else "",
        )


def _least_share(request: pb.RegisterPartnerRequest) -> Decimal:
    if not request.least_share.value:
        return LEAST_SHARE
    if problem := rate_problem(request.least_share, LEAST_SHARE, MOST_SHARE):
        raise InvalidArgument("least_share", problem)
    return to_decimal(request.least_share)


def _amounts(
    request: pb.RecordPartnerMoneyRequest, event: str, book: ledger.Book
) -> dict[str, int]:
    """By amount type. Raises InvalidArgument; FailedPrecondition VAT_MODE."""
    amount = read_amount("amount", request.amount, book.currency_code)
    if request.deposit and book.lender_type != ledger.LENDER_TYPE_BANK:
        raise InvalidArgument("deposit", "only a bank keeps deposits; the book's lender is none")
    name = "funds_deposit" if request.deposit else KINDS[event].amount_type
    amounts = {name: amount}
    if request.HasField("vat"):
        amounts["commission_vat"] = read_vat(book, request.vat, amount)
    return amounts
