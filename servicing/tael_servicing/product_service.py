"""ProductService: contract messages in, products, contract messages out."""

from __future__ import annotations

import grpc

from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael.servicing.v1 import product_pb2_grpc
from tael_client.values import from_date
from tael_runtime import idempotency
from tael_runtime.errors import FailedPrecondition
from tael_runtime.paging import text_key, token
from tael_servicing import books, products
from tael_servicing.desk import Desk
from tael_servicing.reasons import Reason


class Products(product_pb2_grpc.ProductServiceServicer):
    """Publishes and tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def PublishProduct(
        self, request: pb.PublishProductRequest, context: grpc.ServicerContext
    ) -> pb.PublishProductResponse:
        """The next version."""
        book = books.adopt(self._db, self._desk.ledger, request.book_id)
        if book.vat_mode == ledger_pb2.VAT_MODE_SPLIT:
            raise FailedPrecondition(
                Reason.VAT_SPLIT_UNSUPPORTED, f"book {book.book_id} splits VAT", book.book_id
            )
        products.check_terms(request.terms, book.currency_code)
        return idempotency.once(
            self._db,
            "PublishProduct",
            request,
            pb.PublishProductResponse,
            lambda transaction: pb.PublishProductResponse(
                product=products.publish(
                    transaction, request, books.get(transaction, request.book_id).business_date
                ).message()
            ),
        )

    def GetProduct(
        self, request: pb.GetProductRequest, context: grpc.ServicerContext
    ) -> pb.GetProductResponse:
        """One version, or the newest."""
        with self._db.read() as connection:
            product = products.get(connection, request.code, request.version)
            day = books.get(connection, product.book_id).business_date
        return pb.GetProductResponse(product=product.message(), business_date=from_date(day))

    def ListProducts(
        self, request: pb.ListProductsRequest, context: grpc.ServicerContext
    ) -> pb.ListProductsResponse:
        """A page of the newest versions."""
        size = request.page_size or 50
        with self._db.read() as connection:
            found = products.page(connection, text_key(request.page_token), size + 1)
        return pb.ListProductsResponse(
            products=[product.message() for product in found[:size]],
            next_page_token=token(found[size - 1].code) if len(found) > size else "",
        )
