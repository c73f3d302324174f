"""The ledger as a service: what `tael_runtime.server` runs."""

from __future__ import annotations

from tael.ledger.v1 import (
    accounting_pb2,
    accounting_pb2_grpc,
    approval_pb2,
    approval_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    proof_pb2,
    proof_pb2_grpc,
)
from tael_ledger.accounting_service import Accounting
from tael_ledger.approval_service import Approvals
from tael_ledger.catalogue import Catalogue
from tael_ledger.face import Face
from tael_ledger.group_commit import GroupCommit
from tael_ledger.proof_service import Proving
from tael_ledger.service import Ledger
from tael_ledger.tables import metadata
from tael_runtime.server import Assembly, Runtime, Service


def build(runtime: Runtime) -> Assembly:
    """Its contract services over one store and one committer a book."""
    database, catalogue = runtime.database, Catalogue()
    group_commit = GroupCommit(database, catalogue, runtime.settings.ledger_group_size)
    face = (database, catalogue, group_commit)
    approvals = Approvals(Face(*face), runtime.authorizer)
    return Assembly(
        protos=(ledger_pb2, accounting_pb2, approval_pb2, proof_pb2),
        servicers=(
            (ledger_pb2_grpc.add_LedgerServiceServicer_to_server, Ledger(*face)),
            (accounting_pb2_grpc.add_AccountingServiceServicer_to_server, Accounting(Face(*face))),
            (approval_pb2_grpc.add_ApprovalServiceServicer_to_server, approvals),
            (proof_pb2_grpc.add_ProofServiceServicer_to_server, Proving(database)),
        ),
        close=group_commit.close,
    )


SERVICE = Service("ledger", "tael_ledger", metadata, build, asynchronous=True)
