"""RateService: contract messages in, dated rates and caps, contract messages out."""

from __future__ import annotations

from decimal import Decimal

import grpc
from google.type import decimal_pb2
from sqlalchemy import Connection

from tael.ledger.v1 import ledger_pb2
from tael.servicing.v1 import rate_pb2 as pb
from tael.servicing.v1 import rate_pb2_grpc
from tael_client.values import to_decimal
from tael_runtime import idempotency
from tael_runtime.errors import InvalidFields
from tael_runtime.fields import read_date
from tael_runtime.paging import text_key, token
from tael_servicing import caps, rates
from tael_servicing.caps import LENDER, MEASURE, DatedCap
from tael_servicing.desk import Desk
from tael_servicing.product_checks import rate_problem
from tael_servicing.rates import Lpr

HIGHEST_LPR = Decimal("0.5")
HIGHEST_CAP = Decimal(1)
HIGHEST_MULTIPLE = Decimal(20)


class Rates(rate_pb2_grpc.RateServiceServicer):
    """Adds, corrects, tells."""

    def __init__(self, desk: Desk) -> None:
        self._db = desk.database

    def PublishLpr(
        self, request: pb.PublishLprRequest, context: grpc.ServicerContext
    ) -> pb.PublishLprResponse:
        """A loan prime rate."""

        def work(transaction: Connection) -> pb.PublishLprResponse:
            rate = _lpr(request.lpr)
            rates.keep(transaction, rate)
            return pb.PublishLprResponse(lpr=rate.message())

        return idempotency.once(self._db, "PublishLpr", request, pb.PublishLprResponse, work)

    def ListLprs(
        self, request: pb.ListLprsRequest, context: grpc.ServicerContext
    ) -> pb.ListLprsResponse:
        """A page of loan prime rates."""
        size = request.page_size or 50
        before = text_key(request.page_token)
        with self._db.read() as connection:
            found = [
                each
                for each in reversed(rates.known(connection))
                if not before or each.published.isoformat() < before
            ]
        more = len(found) > size
        return pb.ListLprsResponse(
            lprs=[each.message() for each in found[:size]],
            next_page_token=token(found[size - 1].published.isoformat()) if more else "",
        )

    def SetCostCap(
        self, request: pb.SetCostCapRequest, context: grpc.ServicerContext
    ) -> pb.SetCostCapResponse:
        """A cost cap."""

        def work(transaction: Connection) -> pb.SetCostCapResponse:
            cap = _cap(request.cap)
            caps.keep(transaction, cap)
            return pb.SetCostCapResponse(cap=cap.message())

        return idempotency.once(self._db, "SetCostCap", request, pb.SetCostCapResponse, work)

    def ListCostCaps(
        self, request: pb.ListCostCapsRequest, context: grpc.ServicerContext
    ) -> pb.ListCostCapsResponse:
        """A page of cost caps."""
        size = request.page_size or 50
        after = text_key(request.page_token)
        with self._db.read() as connection:
            found = [each for each in caps.known(connection) if _key(each) > after]
        more = len(found) > size
        return pb.ListCostCapsResponse(
            caps=[each.message() for each in found[:size]],
            next_page_token=token(_key(found[size - 1])) if more else "",
        )


def _key(cap: DatedCap) -> str:
    return f"{cap.lender_type}:{cap.effective_from.isoformat()}"


def _lpr(value: pb.Lpr) -> Lpr:
    found = [
        (f"lpr.{field}", problem)
        for field in ("one_year", "five_years")
        if (problem := rate_problem(getattr(value, field), Decimal(0), HIGHEST_LPR))
    ]
    if found:
        raise InvalidFields(found)
    published = read_date("lpr.published", value.published)
    return Lpr(published, to_decimal(value.one_year), to_decimal(value.five_years))


def _cap(value: pb.CostCap) -> DatedCap:
    found = []
    for field, highest in (("rate", HIGHEST_CAP), ("lpr_multiple", HIGHEST_MULTIPLE)):
        given = getattr(value, field)
        if given.value and (problem := rate_problem(given, Decimal("0.000001"), highest)):
            found.append((f"cap.{field}", problem))
    if not value.rate.value and not value.lpr_multiple.value:
        found.append(("cap.rate", "or lpr_multiple is required"))
    if found:
        raise InvalidFields(found)
    measure = value.measure or pb.CAP_MEASURE_APR
    return DatedCap(
        lender_type=ledger_pb2.LenderType.Name(value.lender_type).removeprefix(LENDER),
        effective_from=read_date("cap.effective_from", value.effective_from),
        rate=_optional(value.rate),
        lpr_multiple=_optional(value.lpr_multiple),
        measure=pb.CapMeasure.Name(measure).removeprefix(MEASURE),
        source=value.source,
    )


def _optional(value: decimal_pb2.Decimal) -> Decimal | None:
    return to_decimal(value) if value.value else None
