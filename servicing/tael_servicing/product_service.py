"""ProductService: contract messages in, products, contract messages out."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.servicing.v1 import product_pb2 as pb
from tael.servicing.v1 import product_pb2_grpc
from tael_client.values import from_date
from tael_runtime import idempotency
from tael_runtime.fields import optional_date
from tael_runtime.paging import number_key, text_key, token
from tael_servicing import books, products
from tael_servicing.book_desk import lender_type_of
from tael_servicing.desk import Desk


class Products(product_pb2_grpc.ProductServiceServicer):
    """Publishes, retires, tells."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.database

    def PublishProduct(
        self, request: pb.PublishProductRequest, context: grpc.ServicerContext
    ) -> pb.PublishProductResponse:
        """The next version."""
        book = books.adopt(self._db, self._desk.ledger, request.book_id)
        lender_type = lender_type_of(book)

        def work(transaction: Connection) -> pb.PublishProductResponse:
            whole = products.in_book(request, book)
            ours = books.get(transaction, request.book_id)
            product = products.publish(transaction, whole, ours, lender_type)
            return pb.PublishProductResponse(product=product.message())

        return idempotency.once(
            self._db, "PublishProduct", request, pb.PublishProductResponse, work
        )

    def RetireProduct(
        self, request: pb.RetireProductRequest, context: grpc.ServicerContext
    ) -> pb.RetireProductResponse:
        """Ends lending under a code."""
        return idempotency.once(
            self._db,
            "RetireProduct",
            request,
            pb.RetireProductResponse,
            lambda transaction: pb.RetireProductResponse(
                product=products.retire(transaction, request).message()
            ),
        )

    def GetProduct(
        self, request: pb.GetProductRequest, context: grpc.ServicerContext
    ) -> pb.GetProductResponse:
        """One version, or the one in force on a day."""
        on = optional_date(request, "date")
        with self._db.read() as connection:
            product = products.get(connection, request.code, request.version, on)
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

    def ListProductVersions(
        self, request: pb.ListProductVersionsRequest, context: grpc.ServicerContext
    ) -> pb.ListProductVersionsResponse:
        """A page of one product's versions."""
        size = request.page_size or 50
        with self._db.read() as connection:
            before = number_key(request.page_token)
            found = products.versions(connection, request.code, before, size + 1)
        return pb.ListProductVersionsResponse(
            products=[product.message() for product in found[:size]],
            next_page_token=token(found[size - 1].version) if len(found) > size else "",
        )
