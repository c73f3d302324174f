"""The simulators as a service: what `tael_runtime.server` runs."""

from __future__ import annotations

from tael.provider.v1 import (
    bureau_pb2,
    bureau_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    message_pb2,
    message_pb2_grpc,
    payment_pb2,
    payment_pb2_grpc,
    simulator_pb2,
    simulator_pb2_grpc,
)
from tael_runtime.server import Assembly, Runtime, Service
from tael_simulators.data_service import Bureau, ExternalData
from tael_simulators.identity_service import Identity
from tael_simulators.message_service import Messages
from tael_simulators.payment_service import Payments
from tael_simulators.simulator_service import Simulator
from tael_simulators.tables import metadata


def build(runtime: Runtime) -> Assembly:
    """Every port to the outside world, over one store."""
    db = runtime.database
    return Assembly(
        protos=(identity_pb2, bureau_pb2, payment_pb2, message_pb2, simulator_pb2),
        servicers=(
            (identity_pb2_grpc.add_IdentityProviderServiceServicer_to_server, Identity(db)),
            (bureau_pb2_grpc.add_BureauProviderServiceServicer_to_server, Bureau(db)),
            (bureau_pb2_grpc.add_ExternalDataProviderServiceServicer_to_server, ExternalData(db)),
            (payment_pb2_grpc.add_PaymentProviderServiceServicer_to_server, Payments(db)),
            (message_pb2_grpc.add_MessageProviderServiceServicer_to_server, Messages(db)),
            (simulator_pb2_grpc.add_SimulatorServiceServicer_to_server, Simulator(db)),
        ),
    )


SERVICE = Service("simulators", "tael_simulators", metadata, build)
