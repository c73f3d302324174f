"""How contracts come about: quoted, set, assented to by the customer's code, sealed, filed."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_client.values import to_decimal
from tael_origination import applications, archive, contract_pdf, contracts, events
from tael_origination.contract_pdf import CreditTerms
from tael_origination.contracts import Contract
from tael_origination.customers import CustomerFile
from tael_origination.digital_signature import LenderSigner
from tael_origination.reasons import Reason
from tael_origination.upstream import Servicing
from tael_runtime.errors import FailedPrecondition
from tael_runtime.ids import new_id
from tael_runtime.server import Runtime

FILED_AS = "CONTRACT"


class Signing:
    """Prepares and seals contracts."""

    def __init__(
        self, runtime: Runtime, file: CustomerFile, servicing: Servicing, signer: LenderSigner
    ) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._file = file
        self._servicing = servicing
        self._signer = signer

    def draft(self, application_id: str) -> Contract:
        """The contract of an approved application, not stored yet.

        Its cost table is that of the limit fully drawn over the term applied for. Raises
        FailedPrecondition APPLICATION_NOT_APPROVED.
        """
        with self._db.read() as snapshot:
            application = applications.get(snapshot, application_id)
            person = self._file.person(snapshot, application.customer_id)
        approved = application.approved
        if application.state != "APPROVED" or approved is None:
            raise FailedPrecondition(
                Reason.APPLICATION_NOT_APPROVED,
                f"the application is {application.state}",
                application_id,
            )
        quote = self._servicing.quote(
            application.product_code,
            approved.limit,
            application.currency,
            application.periods,
            approved.rate,
        )
        terms = CreditTerms(
            contract_id=new_id("ct"),
            limit=approved.limit,
            currency=application.currency,
            rate=approved.rate,
            apr=to_decimal(quote.disclosure.apr),
            periods=application.periods,
            purpose=application.purpose,
            valid_to=approved.valid_to,
        )
        rows = contracts.cost_rows(quote.disclosure)
        pdf = contract_pdf.credit_contract(terms, person.borrower, rows)
        return Contract(
            contract_id=terms.contract_id,
            application_id=application_id,
            customer_id=application.customer_id,
            product_code=application.product_code,
            line_id=application.line_id,
            currency=application.currency,
            limit_amount=terms.limit,
            rate=terms.rate,
            apr=terms.apr,
            cost_table=rows,
            prepared_pdf=self._cipher.seal(pdf),
            document_hash=archive.sha256(pdf),
        )

    def seal(self, contract_id: str) -> Contract:
        """The lender's signature under what the customer has signed, and the archive; once."""
        with self._db.begin() as transaction:
            current = contracts.get(transaction, contract_id, lock=True)
            return self._sealed(transaction, current) if current.awaits_seal else current

    def _sealed(self, transaction: Connection, current: Contract) -> Contract:
        pdf = self._cipher.open(bytes(current.prepared_pdf))
        reason = f"customer assented {current.assented_at} by {current.assent_code_id}"
        signed = self._signer.sign(pdf, reason)
        now = self._clock.now()
        archive.file(
            transaction,
            self._cipher,
            current.customer_id,
            FILED_AS,
            current.contract_id,
            signed,
            now,
        )
        sealed = contracts.change(
            transaction,
            current.contract_id,
            state="SIGNED",
            signed_at=now,
            document_hash=archive.sha256(signed),
        )
        events.contract_changed(transaction, sealed.message())
        return sealed
