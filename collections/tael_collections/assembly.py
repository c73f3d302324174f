"""What the collections service is made of."""

from __future__ import annotations

import threading

from tael.collections.v1 import collections_pb2, collections_pb2_grpc
from tael.servicing.v1 import event_pb2, event_pb2_grpc, loan_pb2_grpc
from tael_collections import events, tables
from tael_collections.agency_service import Agencies
from tael_collections.case_service import Cases
from tael_collections.contact_service import Contacts
from tael_collections.promise_service import Promises
from tael_collections.recoveries import Booking
from tael_collections.reminder_sender import ReminderSender
from tael_collections.sending import Sender
from tael_collections.write_off_service import WriteOffs
from tael_collections.write_offs import Posting
from tael_runtime import outbox
from tael_runtime.server import Assembly, Loop, Runtime, Service

RESUME_SECONDS = 1.0


def build(runtime: Runtime) -> Assembly:
    """The servicers and the loops: servicing's events, reminders, postings left undone."""
    loans = runtime.client("servicing", loan_pb2_grpc.LoanServiceStub)
    watch = runtime.client("servicing", event_pb2_grpc.EventServiceStub).Watch
    sender = Sender(runtime)
    posting = Posting(runtime.database, loans)
    booking = Booking(runtime.database, loans)
    pb = collections_pb2_grpc
    return Assembly(
        protos=[collections_pb2],
        servicers=[
            (pb.add_CaseServiceServicer_to_server, Cases(runtime)),
            (pb.add_ContactServiceServicer_to_server, Contacts(runtime, sender)),
            (pb.add_PromiseServiceServicer_to_server, Promises(runtime)),
            (pb.add_AgencyServiceServicer_to_server, Agencies(runtime)),
            (
                pb.add_WriteOffServiceServicer_to_server,
                WriteOffs(runtime, loans, posting, booking),
            ),
        ],
        loops={
            "servicing": outbox.consumer(
                runtime.database,
                "servicing",
                lambda after: watch(event_pb2.WatchRequest(after_position=after)),
                events.apply,
            ),
            "reminders": ReminderSender(runtime.database, runtime.clock, sender).run,
            "postings": _resume(posting, booking),
        },
    )


def _resume(posting: Posting, booking: Booking) -> Loop:
    def run(stop: threading.Event) -> None:
        while not stop.wait(RESUME_SECONDS):
            posting.resume()
            booking.resume()

    return run


SERVICE = Service(
    name="collections",
    package="tael_collections",
    metadata=tables.metadata,
    build=build,
)
