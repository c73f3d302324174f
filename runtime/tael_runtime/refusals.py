"""What another service said when it refused a call."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def reason_of(error: grpc.Call) -> str:
    """The reason it gave ("DAY_CLOSED"); "" where it gave none."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    told = (info.reason for detail in (status.details if status else ()) if detail.Unpack(info))
    return next(told, "")
