"""LoanChangeService: contract messages in, changes of running loans, contract messages out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy import Connection

from tael.servicing.v1 import loan_change_pb2 as pb
from tael.servicing.v1 import loan_change_pb2_grpc
from tael_runtime.fields import optional_date, read_amount
from tael_servicing import loan_changes, messages, write_offs
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.events import LoanEvent
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.terms import Excess, Keep
from tael_servicing.desk import Desk
from tael_servicing.enacting import check_value_date, enact, standing_on
from tael_servicing.loans import OWN_ACCOUNT, Held, Money

AnswerT = TypeVar("AnswerT", bound=Message)


@dataclass(frozen=True)
class Asked:
    """Of whom something is asked, and what the event that it makes begins with."""

    transaction: Connection
    held: Held
    value_date: date
    event_id: str

    @property
    def then(self) -> Loan:
        """The loan as it stood on the value date. Raises as `enacting.check_value_date`."""
        check_value_date(self.held, self.value_date, self.held.loan.business_date)
        return standing_on(self.transaction, self.held, self.value_date)


Make = Callable[[Asked], LoanEvent]

KEEPS = {
    pb.KEEPS_UNSPECIFIED: Keep.TERM,
    pb.KEEPS_TERM: Keep.TERM,
    pb.KEEPS_INSTALMENT: Keep.INSTALMENT,
}
REFUND_RULES = {
    pb.REFUND_RULE_UNSPECIFIED: Excess.PRINCIPAL,
    pb.REFUND_RULE_PRINCIPAL: Excess.PRINCIPAL,
    pb.REFUND_RULE_NEXT: Excess.NEXT,
    pb.REFUND_RULE_LAST: Excess.LAST,
    pb.REFUND_RULE_SPREAD: Excess.SPREAD,
}


class LoanChanges(loan_change_pb2_grpc.LoanChangeServiceServicer):
    """Reprices, replans, gives up, takes back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def RepriceLoan(
        self, request: pb.RepriceLoanRequest, context: grpc.ServicerContext
    ) -> pb.RepriceLoanResponse:
        """Another rate."""

        def make(asked: Asked) -> LoanEvent:
            rate = loan_changes.read_rate(asked.transaction, asked.held, request)
            return happened.Repriced(asked.value_date, asked.event_id, rate, KEEPS[request.keeps])

        return self._change("RepriceLoan", request, pb.RepriceLoanResponse, make)

    def ExtendLoan(
        self, request: pb.ExtendLoanRequest, context: grpc.ServicerContext
    ) -> pb.ExtendLoanResponse:
        """More periods."""

        def make(asked: Asked) -> LoanEvent:
            loan_changes.check_extension(asked.transaction, asked.held, request.more_periods)
            plan = Plan(
                from_due=optional_date(request, "from_due_date"),
                more_periods=request.more_periods,
                keep=KEEPS[request.keeps],
            )
            return happened.Rescheduled(asked.value_date, asked.event_id, plan)

        return self._change("ExtendLoan", request, pb.ExtendLoanResponse, make)

    def RescheduleLoan(
        self, request: pb.RescheduleLoanRequest, context: grpc.ServicerContext
    ) -> pb.RescheduleLoanResponse:
        """Another plan."""

        def make(asked: Asked) -> LoanEvent:
            if request.more_periods and not request.re_age:
                loan_changes.check_extension(asked.transaction, asked.held, request.more_periods)
            rate = None
            if request.HasField("annual_rate"):
                rate = loan_changes.read_rate(asked.transaction, asked.held, request)
            then = asked.then
            loan_changes.check_counts(then, request)
            plan = Plan(
                from_due=optional_date(request, "from_due_date"),
                more_periods=request.more_periods,
                instalments=request.instalments,
                skip_periods=request.skip_periods,
                repay_day=request.repay_day,
                due_dates=loan_changes.read_due_dates(then, request),
                grace_principal=request.grace_principal,
                grace_interest=request.grace_interest,
                annual_rate=rate,
                re_age=request.re_age,
                keep=KEEPS[request.keeps],
            )
            loan_changes.check_agreed_end(asked.held, then, plan)
            return happened.Rescheduled(asked.value_date, asked.event_id, plan)

        return self._change("RescheduleLoan", request, pb.RescheduleLoanResponse, make)

    def AccelerateLoan(
        self, request: pb.AccelerateLoanRequest, context: grpc.ServicerContext
    ) -> pb.AccelerateLoanResponse:
        """All falls due."""
        return self._change(
            "AccelerateLoan",
            request,
            pb.AccelerateLoanResponse,
            lambda asked: happened.Accelerated(asked.value_date, asked.event_id, request.misused),
        )

    def WaiveLoan(
        self, request: pb.WaiveLoanRequest, context: grpc.ServicerContext
    ) -> pb.WaiveLoanResponse:
        """Gives up what is due, or of a claim."""

        def make(asked: Asked) -> LoanEvent:
            return loan_changes.read_waiver(
                asked.transaction, asked.held, request, asked.value_date, asked.event_id
            )

        return self._change("WaiveLoan", request, pb.WaiveLoanResponse, make)

    def TransferLoanStatus(
        self, request: pb.TransferLoanStatusRequest, context: grpc.ServicerContext
    ) -> pb.TransferLoanStatusResponse:
        """Off balance for another reason than days past due."""
        return self._change(
            "TransferLoanStatus",
            request,
            pb.TransferLoanStatusResponse,
            lambda asked: happened.Impaired(asked.value_date, asked.event_id),
        )

    def RestoreLoanStatus(
        self, request: pb.RestoreLoanStatusRequest, context: grpc.ServicerContext
    ) -> pb.RestoreLoanStatusResponse:
        """What was judged by hand is withdrawn."""
        return self._change(
            "RestoreLoanStatus",
            request,
            pb.RestoreLoanStatusResponse,
            lambda asked: happened.Restored(asked.value_date, asked.event_id),
        )

    def PauseArrears(
        self, request: pb.PauseArrearsRequest, context: grpc.ServicerContext
    ) -> pb.PauseArrearsResponse:
        """Arrears stand still."""

        def make(asked: Asked) -> LoanEvent:
            until = loan_changes.read_pause(request, asked.value_date)
            return happened.Paused(asked.value_date, asked.event_id, until)

        return self._change("PauseArrears", request, pb.PauseArrearsResponse, make)

    def ChargeFee(
        self, request: pb.ChargeFeeRequest, context: grpc.ServicerContext
    ) -> pb.ChargeFeeResponse:
        """A fee, due at once."""

        def make(asked: Asked) -> LoanEvent:
            amount = _amount(asked.held, request.amount)
            loan_changes.check_fee(asked.transaction, asked.held, request.fee, amount)
            return happened.Charged(asked.value_date, asked.event_id, amount)

        return self._change("ChargeFee", request, pb.ChargeFeeResponse, make)

    def AdvanceLegalCosts(
        self, request: pb.AdvanceLegalCostsRequest, context: grpc.ServicerContext
    ) -> pb.AdvanceLegalCostsResponse:
        """Costs that the debtor owes."""

        def make(asked: Asked) -> LoanEvent:
            return happened.CostsAdvanced(
                asked.value_date, asked.event_id, _amount(asked.held, request.amount)
            )

        return self._change("AdvanceLegalCosts", request, pb.AdvanceLegalCostsResponse, make)

    def RefundGoods(
        self, request: pb.RefundGoodsRequest, context: grpc.ServicerContext
    ) -> pb.RefundGoodsResponse:
        """A merchant returns the price."""

        def make(asked: Asked) -> LoanEvent:
            amount = _amount(asked.held, request.amount)
            return happened.GoodsRefunded(
                asked.value_date, asked.event_id, amount, REFUND_RULES[request.rule]
            )

        return self._change(
            "RefundGoods", request, pb.RefundGoodsResponse, make, funds="funds_transfer"
        )

    def RecordGuarantorPayment(
        self, request: pb.RecordGuarantorPaymentRequest, context: grpc.ServicerContext
    ) -> pb.RecordGuarantorPaymentResponse:
        """A guarantor pays."""

        def make(asked: Asked) -> LoanEvent:
            return happened.GuarantorPaid(
                asked.value_date, asked.event_id, _amount(asked.held, request.amount)
            )

        return self._change(
            "RecordGuarantorPayment", request, pb.RecordGuarantorPaymentResponse, make
        )

    def SellLoan(
        self, request: pb.SellLoanRequest, context: grpc.ServicerContext
    ) -> pb.SellLoanResponse:
        """A true sale."""

        def work(transaction: Connection, held: Held, day: date) -> pb.SellLoanResponse:
            price = _amount(held, request.price, "price")
            after = write_offs.sell(transaction, held, price, request.approval, day)
            return pb.SellLoanResponse(loan=messages.loan(after))

        return self._desk.on_loan("SellLoan", request, pb.SellLoanResponse, work)

    def TakeAssetForDebt(
        self, request: pb.TakeAssetForDebtRequest, context: grpc.ServicerContext
    ) -> pb.TakeAssetForDebtResponse:
        """An asset for the debt."""

        def make(asked: Asked) -> LoanEvent:
            value = _amount(asked.held, request.fair_value, "fair_value")
            return happened.AssetTaken(asked.value_date, asked.event_id, value, request.settles)

        money = Money({}, {"ASSET": request.asset_id})
        return self._change(
            "TakeAssetForDebt", request, pb.TakeAssetForDebtResponse, make, money=money
        )

    def ReverseLoanChange(
        self, request: pb.ReverseLoanChangeRequest, context: grpc.ServicerContext
    ) -> pb.ReverseLoanChangeResponse:
        """Takes something back."""

        def work(transaction: Connection, held: Held, day: date) -> pb.ReverseLoanChangeResponse:
            after = loan_changes.reverse(
                transaction, held, request.event_id, day, request.approval
            ).after
            return pb.ReverseLoanChangeResponse(loan=messages.loan(after))

        return self._desk.on_loan("ReverseLoanChange", request, pb.ReverseLoanChangeResponse, work)

    def _change(
        self,
        rpc: str,
        request: Any,
        answer: type[AnswerT],
        make: Make,
        funds: str = "",
        money: Money = OWN_ACCOUNT,
    ) -> AnswerT:
        """Enacts the event that `make` makes of a request, worth its value date."""

        def work(transaction: Connection, held: Held, day: date) -> AnswerT:
            has_date = "value_date" in request.DESCRIPTOR.fields_by_name
            value_date = (optional_date(request, "value_date") if has_date else None) or day
            event = make(Asked(transaction, held, value_date, held.next_event_id))
            reference = loan_changes.reference_of(request)
            enacted = enact(
                transaction, held, event, day, reference=reference, funds=funds, money=money
            )
            loan_changes.freeze_where_lost(transaction, enacted, day)
            return answer(loan=messages.loan(enacted.after))

        return self._desk.on_loan(rpc, request, answer, work)


def _amount(held: Held, amount: Any, field: str = "amount") -> int:
    return read_amount(field, amount, held.contract.currency_code)
