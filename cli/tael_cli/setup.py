"""Seeds what a lender needs before the first application; running it again changes nothing."""

from __future__ import annotations

from datetime import date

from google.type import decimal_pb2

from tael.collections.v1 import collections_pb2, collections_pb2_grpc
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael.risk.v1 import policy_pb2, policy_pb2_grpc
from tael.servicing.v1 import product_pb2, product_pb2_grpc
from tael_cli.services import Services
from tael_client.values import from_date

PRODUCT = "cash-12"


def product_terms() -> product_pb2.ProductTerms:
    """The demo's product: 等额本息, 12 %, ACT/360 odd days, penalty 1.5×, compound interest on."""
    return product_pb2.ProductTerms(
        method=product_pb2.REPAYMENT_METHOD_EQUAL_INSTALMENT,
        min_periods=3,
        max_periods=24,
        min_principal=100_000,
        max_principal=20_000_000,
        annual_rate=_decimal("0.12"),
        day_count=product_pb2.DAY_COUNT_ACT_360,
        first_period=product_pb2.FIRST_PERIOD_ODD_DAYS,
        min_first_days=15,
        penalty_multiplier=_decimal("1.5"),
        compound_enabled=True,
        prepayment_fee_rate=_decimal("0.01"),
        nonaccrual_dpd=90,
        cost_cap=_decimal("0.24"),
        currency_code="CNY",
    )


def seed(services: Services, book: str, business_date: date) -> None:
    """Book, chart, posting rules, product, policy, agency."""
    ledger = services.stub("ledger", ledger_pb2_grpc.LedgerServiceStub)
    ledger.CreateBook(
        ledger_pb2.CreateBookRequest(
            request_id=f"setup:book:{book}",
            book_id=book,
            legal_entity="泰尔示范银行 Tael Demo Bank",
            currency_code="CNY",
            time_zone="Asia/Shanghai",
            lender_type=ledger_pb2.LENDER_TYPE_BANK,
            vat_mode=ledger_pb2.VAT_MODE_NONE,
            business_date=from_date(business_date),
        )
    )
    services.stub("servicing", product_pb2_grpc.ProductServiceStub).PublishProduct(
        product_pb2.PublishProductRequest(
            request_id=f"setup:product:{book}",
            code=PRODUCT,
            name="Cash loan, equal instalments 现金贷",
            terms=product_terms(),
            book_id=book,
        )
    )
    services.stub("risk", policy_pb2_grpc.PolicyServiceStub).PublishPolicy(
        policy_pb2.PublishPolicyRequest(request_id="setup:policy", name="default")
    )
    services.stub("collections", collections_pb2_grpc.AgencyServiceStub).RegisterAgency(
        collections_pb2.RegisterAgencyRequest(
            request_id="setup:agency", name="Hengxin 恒信催收", commission_basis_points=2500
        )
    )


def _decimal(text: str) -> decimal_pb2.Decimal:
    return decimal_pb2.Decimal(value=text)
