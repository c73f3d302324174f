"""Risk as a service: what `tael_runtime.server` runs."""

from __future__ import annotations

from tael.origination.v1 import event_pb2 as origination
from tael.origination.v1 import event_pb2_grpc as origination_grpc
from tael.risk.v1 import (
    bureau_pb2,
    bureau_pb2_grpc,
    decision_pb2,
    decision_pb2_grpc,
    feature_pb2,
    feature_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
)
from tael.servicing.v1 import event_pb2 as servicing
from tael.servicing.v1 import event_pb2_grpc as servicing_grpc
from tael_risk.bureau_service import Bureau
from tael_risk.decision_service import Decisions
from tael_risk.events import apply_origination, apply_servicing
from tael_risk.feature_service import Features
from tael_risk.features import shipped_registry
from tael_risk.policy_service import Policies
from tael_risk.policy_store import PolicyBook
from tael_risk.tables import metadata
from tael_runtime import outbox
from tael_runtime.server import Assembly, Loop, Runtime, Service


def build(runtime: Runtime) -> Assembly:
    """Its four contract services over one store, and what it learns from the others' events."""
    registry = shipped_registry()
    policies = PolicyBook(runtime.database, registry)
    return Assembly(
        protos=(decision_pb2, feature_pb2, policy_pb2, bureau_pb2),
        servicers=(
            (
                decision_pb2_grpc.add_DecisionServiceServicer_to_server,
                Decisions(runtime, registry, policies),
            ),
            (
                feature_pb2_grpc.add_FeatureServiceServicer_to_server,
                Features(runtime, registry),
            ),
            (policy_pb2_grpc.add_PolicyServiceServicer_to_server, Policies(runtime, registry)),
            (bureau_pb2_grpc.add_BureauServiceServicer_to_server, Bureau(runtime)),
        ),
        loops={"origination": _origination(runtime), "servicing": _servicing(runtime)},
    )


def _origination(runtime: Runtime) -> Loop:
    stub = runtime.client("origination", origination_grpc.EventServiceStub)
    return outbox.consumer(
        runtime.database,
        "origination",
        lambda after: stub.Watch(origination.WatchRequest(after_position=after)),
        apply_origination,
    )


def _servicing(runtime: Runtime) -> Loop:
    stub = runtime.client("servicing", servicing_grpc.EventServiceStub)
    return outbox.consumer(
        runtime.database,
        "servicing",
        lambda after: stub.Watch(servicing.WatchRequest(after_position=after)),
        apply_servicing,
    )


SERVICE = Service("risk", "tael_risk", metadata, build)
