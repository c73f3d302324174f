"""The loop that sends queued reminders, each through the gate like any other contact."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date

import grpc
import structlog
from sqlalchemy import Connection, select

from tael_collections import cases, contacts, days, reminders
from tael_collections.contact_rules import Channel, Deny
from tael_collections.contacts import Contact
from tael_collections.sending import Sender
from tael_collections.tables import reminder
from tael_collections.upstream import refusal
from tael_runtime.clock import Clock
from tael_runtime.database import Database
from tael_runtime.errors import FailedPrecondition

log = structlog.get_logger()

IDLE_SECONDS = 0.2


@dataclass(frozen=True)
class Waiting:
    """A reminder that is to go out."""

    reminder_id: str
    customer_id: str
    book_id: str
    text: str
    good_until: date


class ReminderSender:
    """Takes reminders from the queue one by one."""

    def __init__(self, database: Database, clock: Clock, sender: Sender) -> None:
        self._db = database
        self._clock = clock
        self._sender = sender

    def run(self, stop: threading.Event) -> None:
        """Until stopped."""
        while not stop.is_set():
            if not self.send_next():
                stop.wait(IDLE_SECONDS)

    def send_next(self) -> bool:
        """Sends, puts off or drops the next reminder whose time has come; False where none is."""
        with self._db.begin() as transaction:
            reminder_id = reminders.next_waiting(transaction, self._clock.now())
            if reminder_id is None:
                return False
            taken = self._permit(transaction, reminder_id)
        if taken is not None:
            self._send(*taken)
        return True

    def _permit(self, transaction: Connection, reminder_id: str) -> tuple[Waiting, Contact] | None:
        mine = reminder.c.reminder_id == reminder_id
        columns = [reminder.c[name] for name in Waiting.__dataclass_fields__]
        waiting = Waiting(*transaction.execute(select(*columns).where(mine)).one())
        cases.lock_debtor(transaction, waiting.customer_id)
        state = transaction.execute(select(reminder.c.state).where(mine)).scalar_one()
        if state != "QUEUED":
            return None
        if days.business_date(transaction, waiting.book_id) > waiting.good_until:
            reminders.settle(transaction, reminder_id, "DROPPED")
            return None
        case = cases.find_open(transaction, waiting.customer_id, waiting.book_id)
        made, answer = contacts.permit(
            transaction,
            waiting.customer_id,
            case,
            waiting.book_id,
            Channel.SMS,
            self._clock.now(),
        )
        if isinstance(answer, Deny):
            kept = "QUEUED" if answer.retry_at else "DROPPED"
            reminders.settle(transaction, reminder_id, kept, made.contact_id, answer.retry_at)
            return None
        reminders.settle(transaction, reminder_id, "QUEUED", made.contact_id, made.expires_at)
        return waiting, made

    def _send(self, waiting: Waiting, permitted: Contact) -> None:
        """Sends under the reminder's own id, so that a second try sends nothing twice."""
        try:
            mobile = self._sender.reveal(waiting.customer_id, f"reminder {waiting.reminder_id}")
            with self._db.begin() as transaction:
                self._spend(transaction, waiting, permitted, mobile)
            delivery_id = f"reminder:{waiting.reminder_id}"
            delivery = self._sender.send(Channel.SMS, delivery_id, mobile, waiting.text)
        except FailedPrecondition as denied:
            log.info("reminder put off", reminder=waiting.reminder_id, why=denied.message)
            return
        except grpc.RpcError as error:
            words = refusal(error)
            if words is None:
                raise
            log.warning("reminder dropped", reminder=waiting.reminder_id, why=words)
            with self._db.begin() as transaction:
                reminders.settle(transaction, waiting.reminder_id, "DROPPED", permitted.contact_id)
            return
        with self._db.begin() as transaction:
            contacts.report(transaction, permitted.contact_id, delivery.result, None)
            reminders.settle(transaction, waiting.reminder_id, "SENT", permitted.contact_id)

    def _spend(
        self, transaction: Connection, waiting: Waiting, permitted: Contact, mobile: str
    ) -> None:
        cases.lock_debtor(transaction, waiting.customer_id)
        case = cases.find_open(transaction, waiting.customer_id, waiting.book_id)
        contacts.authorise(
            transaction,
            permitted,
            case,
            waiting.book_id,
            self._sender.number_index(mobile),
            self._clock.now(),
        )
        contacts.mark_used(transaction, permitted.contact_id, waiting.text, self._clock.now())
