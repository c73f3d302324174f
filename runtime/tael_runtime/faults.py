"""What a handler raised, as the status its caller is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import grpc
import structlog
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tael_runtime.database import is_lost
from tael_runtime.errors import DeadlineExceeded, Internal, Reason, TaelError, Unavailable

log = structlog.get_logger()


@dataclass(frozen=True)
class Faults:
    """The outcomes of one service's calls that are not answers."""

    service: str

    def status(self, error: Exception, rpc: str, trace_id: str) -> status_pb2.Status:
        """A refusal as it is; silence of others as UNAVAILABLE; our own faults without detail."""
        if isinstance(error, TaelError):
            return self._told(error, trace_id)
        if isinstance(error, grpc.Call):
            return self._upstream(error, trace_id)
        if isinstance(error, grpc.RpcError):
            return status_pb2.Status(code=code_pb2.CANCELLED, message="the caller went")
        if isinstance(error, DBAPIError | PoolTimeout):
            return self._store(error, rpc, trace_id)
        log.error("fault", rpc=rpc, trace_id=trace_id, exc_info=error)
        return self._internal(trace_id)

    def _told(self, error: TaelError, trace_id: str) -> status_pb2.Status:
        return error.status(f"tael.{self.service}", trace_id)

    def _internal(self, trace_id: str) -> status_pb2.Status:
        error = Internal(Reason.INTERNAL, f"a fault in tael.{self.service}; see its log")
        return self._told(error, trace_id)

    def _store(self, error: Exception, rpc: str, trace_id: str) -> status_pb2.Status:
        if isinstance(error, DBAPIError) and not is_lost(error):
            # The rest of the store's message quotes the values of rows, and so personal data.
            why = getattr(getattr(error.orig, "diag", None), "message_primary", None)
            kind = type(error.orig).__name__
            log.error("store refused", rpc=rpc, kind=kind, error=why, trace_id=trace_id)
            return self._internal(trace_id)
        log.warning("store lost", rpc=rpc, error=str(error)[:200])
        lost = Unavailable(Reason.STORE_UNAVAILABLE, "the store did not answer; repeat the call")
        return self._told(lost, trace_id)

    def _upstream(self, error: grpc.Call, trace_id: str) -> status_pb2.Status:
        """A refusal by a service called is passed on as it is; silence becomes UNAVAILABLE."""
        code = error.code()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            late = DeadlineExceeded(Reason.DEADLINE_TOO_SHORT, "a service called took too long")
            return self._told(late, trace_id)
        status = rpc_status.from_call(error)
        if status is not None and code is not grpc.StatusCode.UNAVAILABLE:
            return cast("status_pb2.Status", status)
        silent = Unavailable(
            Reason.UPSTREAM_UNAVAILABLE, f"a service called did not answer ({code.name})"
        )
        return self._told(silent, trace_id)
