"""The rpcs that can be scripted, and which behaviours each knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tael.provider.v1 import bureau_pb2, identity_pb2, message_pb2, payment_pb2, simulator_pb2
from tael_runtime.errors import InvalidArgument


@dataclass(frozen=True)
class Method:
    """One rpc of the outside world."""

    name: str
    """ "tael.provider.v1.PaymentProviderService/Pay"."""
    answer: type[Message]
    """Its response, whose integer and bool fields are its figures."""
    outcomes: tuple[str, ...] = ()
    """The words `outcome` may have."""
    takes: bool = False
    """It keeps what it is sent, so that an answer can be lost after the deed."""
    pays: bool = False
    """It moves money, so that it can fail and not be known."""


MATCHES = ("MATCH", "MISMATCH", "UNKNOWN")
CALL_ENDS = ("CONNECTED", "NO_ANSWER", "BUSY", "DEAD_NUMBER")

_IDENTITY = "tael.provider.v1.IdentityProviderService"
_EXTERNAL = "tael.provider.v1.ExternalDataProviderService"
_PAYMENT = "tael.provider.v1.PaymentProviderService"
_MESSAGE = "tael.provider.v1.MessageProviderService"

CHECK_REAL_NAME = Method(f"{_IDENTITY}/CheckRealName", identity_pb2.CheckRealNameResponse, MATCHES)
COMPARE_FACE = Method(f"{_IDENTITY}/CompareFace", identity_pb2.CompareFaceResponse)
CHECK_FOUR_ELEMENTS = Method(
    f"{_IDENTITY}/CheckFourElements", identity_pb2.CheckFourElementsResponse, MATCHES
)
QUERY_REPORT = Method(
    "tael.provider.v1.BureauProviderService/QueryReport", bureau_pb2.QueryReportResponse
)
QUERY_MULTI_LENDER = Method(f"{_EXTERNAL}/QueryMultiLender", bureau_pb2.QueryMultiLenderResponse)
QUERY_COURT_LIST = Method(f"{_EXTERNAL}/QueryCourtList", bureau_pb2.QueryCourtListResponse)
VERIFY_CARD_HOLDER = Method(
    f"{_PAYMENT}/VerifyCardHolder", payment_pb2.VerifyCardHolderResponse, MATCHES
)
PAY = Method(f"{_PAYMENT}/Pay", payment_pb2.PayResponse, takes=True, pays=True)
DEBIT = Method(f"{_PAYMENT}/Debit", payment_pb2.DebitResponse, takes=True, pays=True)
DEBIT_BATCH = Method(f"{_PAYMENT}/DebitBatch", payment_pb2.DebitBatchResponse, takes=True)
QUERY_PAYMENT = Method(f"{_PAYMENT}/QueryPayment", payment_pb2.QueryPaymentResponse)
SEND_TEXT = Method(f"{_MESSAGE}/SendText", message_pb2.SendTextResponse, takes=True)
PLACE_CALL = Method(f"{_MESSAGE}/PlaceCall", message_pb2.PlaceCallResponse, CALL_ENDS, takes=True)

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        CHECK_REAL_NAME,
        COMPARE_FACE,
        CHECK_FOUR_ELEMENTS,
        QUERY_REPORT,
        QUERY_MULTI_LENDER,
        QUERY_COURT_LIST,
        VERIFY_CARD_HOLDER,
        PAY,
        DEBIT,
        DEBIT_BATCH,
        QUERY_PAYMENT,
        SEND_TEXT,
        PLACE_CALL,
    )
}


def check(method: Method, behaviour: simulator_pb2.Behaviour, path: str) -> None:
    """Raises InvalidArgument where the method cannot behave so; `path` is the behaviour's field."""
    if behaviour.outcome and behaviour.outcome not in method.outcomes:
        allowed = ", ".join(method.outcomes) or "no outcome"
        raise InvalidArgument(f"{path}.outcome", f"{method.name} knows {allowed}")
    if behaviour.taken and not (method.takes and behaviour.status_code):
        raise InvalidArgument(
            f"{path}.taken", "only with a status_code, and only of a payment, text or call"
        )
    lost = method.takes and method is not DEBIT_BATCH
    if behaviour.HasField("arrives_after") and not (
        lost and behaviour.status_code and not behaviour.taken
    ):
        raise InvalidArgument(
            f"{path}.arrives_after",
            "only with a status_code, not taken, and only of a payment, text or call",
        )
    if (behaviour.failure_code or behaviour.unknown_answers) and not method.pays:
        field = "failure_code" if behaviour.failure_code else "unknown_answers"
        raise InvalidArgument(f"{path}.{field}", f"{method.name} is neither Pay nor Debit")
    if behaviour.HasField("funds_minor_units") and method is not DEBIT:
        raise InvalidArgument(f"{path}.funds_minor_units", f"{method.name} is not Debit")
    for name, value in behaviour.figures.items():
        _check_figure(method, name, value, f'{path}.figures["{name}"]')


def _check_figure(method: Method, name: str, value: int, path: str) -> None:
    figures = {
        field.name: field.cpp_type
        for field in method.answer.DESCRIPTOR.fields
        if field.cpp_type in RANGES and not field.is_repeated
    }
    if name not in figures:
        known = ", ".join(figures) or "no figure"
        raise InvalidArgument(path, f"{method.name} answers with {known}")
    low, high = RANGES[figures[name]]
    if not low <= value <= high:
        raise InvalidArgument(path, f"must be from {low} to {high}")


RANGES = {
    FieldDescriptor.CPPTYPE_BOOL: (0, 1),
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
}
"""Least and greatest figure by the kind of field; figures themselves are int64."""


def apply_figures(answer: Message, figures: Mapping[str, int]) -> None:
    """Sets fields of an answer from checked figures."""
    for name, value in figures.items():
        kind = answer.DESCRIPTOR.fields_by_name[name].cpp_type
        setattr(answer, name, bool(value) if kind == FieldDescriptor.CPPTYPE_BOOL else value)
