"""Origination as a service: what `tael_runtime.server` runs."""

from __future__ import annotations

from tael.origination.v1 import (
    application_pb2,
    application_pb2_grpc,
    contract_pb2,
    contract_pb2_grpc,
    customer_pb2,
    customer_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
)
from tael.servicing.v1 import event_pb2 as servicing_pb2
from tael.servicing.v1 import event_pb2_grpc as servicing_pb2_grpc
from tael_origination.application_service import Applications, Reviews
from tael_origination.approval import Approval
from tael_origination.consent_service import Consents
from tael_origination.contract_service import Archive, Contracts
from tael_origination.customer_service import Customers
from tael_origination.customers import CustomerFile
from tael_origination.digital_signature import LenderSigner
from tael_origination.drawdown_service import Drawdowns
from tael_origination.event_service import Events
from tael_origination.payout import Payout
from tael_origination.resuming import follow_servicing, resumer
from tael_origination.signing import Signing
from tael_origination.tables import metadata
from tael_origination.upstream import Risk, Servicing
from tael_origination.verification_service import Verifications
from tael_runtime import outbox
from tael_runtime.server import Assembly, Runtime, Service


def build(runtime: Runtime) -> Assembly:
    """The servicers, and the loops that go on by themselves."""
    file = CustomerFile(runtime.cipher)
    risk, servicing = Risk(runtime), Servicing(runtime)
    signer = LenderSigner(runtime.settings.data_dir)
    approval = Approval(runtime, file, risk, servicing)
    signing = Signing(runtime, file, servicing, signer)
    payout = Payout(runtime, file, risk, servicing, signer)
    watched = runtime.client("servicing", servicing_pb2_grpc.EventServiceStub)
    add_customers = customer_pb2_grpc.add_CustomerServiceServicer_to_server
    add_verifications = customer_pb2_grpc.add_VerificationServiceServicer_to_server
    add_consents = customer_pb2_grpc.add_ConsentServiceServicer_to_server
    add_applications = application_pb2_grpc.add_ApplicationServiceServicer_to_server
    add_reviews = application_pb2_grpc.add_ReviewServiceServicer_to_server
    add_contracts = contract_pb2_grpc.add_ContractServiceServicer_to_server
    add_archive = contract_pb2_grpc.add_ArchiveServiceServicer_to_server
    add_drawdowns = contract_pb2_grpc.add_DrawdownServiceServicer_to_server
    return Assembly(
        protos=(customer_pb2, application_pb2, contract_pb2, event_pb2),
        servicers=(
            (add_customers, Customers(runtime, file)),
            (add_verifications, Verifications(runtime, file)),
            (add_consents, Consents(runtime)),
            (add_applications, Applications(runtime, approval, servicing)),
            (add_reviews, Reviews(runtime, approval, servicing)),
            (add_contracts, Contracts(runtime, signing, signer)),
            (add_archive, Archive(runtime)),
            (add_drawdowns, Drawdowns(runtime, payout)),
            (event_pb2_grpc.add_EventServiceServicer_to_server, Events(runtime)),
        ),
        loops={
            "resume": resumer(runtime.database, approval, signing, payout),
            "servicing": outbox.consumer(
                runtime.database,
                "servicing",
                lambda after: watched.Watch(servicing_pb2.WatchRequest(after_position=after)),
                follow_servicing,
            ),
        },
    )


SERVICE = Service("origination", "tael_origination", metadata, build)
