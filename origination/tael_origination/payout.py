"""A drawdown on its way: risk's decision, the agreement filed, the loan. Resumable at every step."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import contract_pb2
from tael.risk.v1 import decision_pb2
from tael.servicing.v1 import loan_pb2
from tael_client.values import from_date, money, to_decimal
from tael_origination import (
    archive,
    cards,
    consents,
    contract_pdf,
    contracts,
    drawdowns,
    facts,
)
from tael_origination.contract_pdf import DrawdownTerms
from tael_origination.customers import CustomerFile
from tael_origination.digital_signature import LenderSigner
from tael_origination.drawdowns import Drawdown
from tael_origination.reasons import Reason
from tael_origination.upstream import Risk, Servicing, loan_request, refusal_to_lend
from tael_runtime.errors import FailedPrecondition
from tael_runtime.fields import read_amount
from tael_runtime.ids import new_id
from tael_runtime.server import Runtime

FILED_AS = "DRAWDOWN_AGREEMENT"


class Payout:
    """Moves drawdowns on."""

    def __init__(
        self,
        runtime: Runtime,
        file: CustomerFile,
        risk: Risk,
        servicing: Servicing,
        signer: LenderSigner,
    ) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._file = file
        self._risk = risk
        self._servicing = servicing
        self._signer = signer

    def draft(self, asked: contract_pb2.RequestDrawdownRequest) -> Drawdown:
        """A drawdown with its schedule, not stored yet.

        Guards in order: money, the contract (CONTRACT_NOT_SIGNED), the term, the card
        (CARD_NOT_BOUND), the bureau consent (CONSENT_MISSING), the line's free part (LINE_EXCEEDED).
        """
        with self._db.read() as snapshot:
            contract = contracts.get(snapshot, asked.contract_id)
        amount = read_amount("amount", asked.amount, contract.currency)
        contracts.require_signed(contract)
        product = self._servicing.product(contract.product_code)
        product.require_term(asked.periods)
        with self._db.read() as snapshot:
            drawdowns.require_card(snapshot, contract.customer_id, asked.card_token)
            consent = consents.require_live(
                snapshot, contract.customer_id, "BUREAU_QUERY", product.business_date
            )
        available = self._servicing.line(contract.line_id).available.minor_units
        if amount > available:
            raise FailedPrecondition(
                Reason.LINE_EXCEEDED, f"{available} minor units are free", contract.line_id
            )
        quote = self._servicing.quote(
            contract.product_code,
            amount,
            contract.currency,
            asked.periods,
            contract.rate,
            asked.repay_day,
        )
        return Drawdown(
            drawdown_id=new_id("dd"),
            contract_id=contract.contract_id,
            customer_id=contract.customer_id,
            currency=contract.currency,
            amount=amount,
            periods=asked.periods,
            repay_day=asked.repay_day,
            card_token=asked.card_token,
            consent_id=consent.consent_id,
            bounds=product.bounds,
            requested_on=product.business_date,
            apr=to_decimal(quote.disclosure.apr),
            schedule=drawdowns.schedule_rows(quote),
        )

    def advance(self, drawdown_id: str) -> Drawdown:
        """As far as it goes without the customer."""
        with self._db.read() as snapshot:
            current = drawdowns.get(snapshot, drawdown_id)
        if current.state == "REQUESTED":
            return self._decided(current)
        if current.state == "SIGNED":
            return self._disbursed(current)
        if current.state == "PAYING":
            return self._followed(current)
        return current

    def _decided(self, current: Drawdown) -> Drawdown:
        with self._db.read() as snapshot:
            contract = contracts.get(snapshot, current.contract_id)
        line = self._servicing.line(contract.line_id)
        with self._db.read() as snapshot:
            person = self._file.person(snapshot, current.customer_id)
            known = facts.of_drawdown(snapshot, current, line)
        self._risk.observe(current.drawdown_id, current.customer_id, current.requested_on, known)
        decision = self._risk.decide(
            decision_pb2.DecideRequest(
                request_id=f"decide:{current.drawdown_id}",
                stage=decision_pb2.STAGE_DRAWDOWN,
                customer_id=current.customer_id,
                subject_id=current.drawdown_id,
                applicant=decision_pb2.Applicant(name=person.name, id_number=person.id_number),
                loan=loan_request(
                    contract.product_code,
                    current.bounds,
                    current.currency,
                    current.amount,
                    current.periods,
                ),
                consent_id=current.consent_id,
                business_date=from_date(current.requested_on),
            )
        )
        # A drawdown has no queue of reviewers: what risk does not agree to is declined.
        agreed = decision.outcome == decision_pb2.OUTCOME_APPROVED
        with self._db.begin() as transaction:
            return drawdowns.move(
                transaction,
                current.drawdown_id,
                ("REQUESTED",),
                state="RISK_OK" if agreed else "DECLINED",
                decision_id=decision.decision_id,
                customer_reasons=list(decision.customer_reasons),
            )

    def _disbursed(self, current: Drawdown) -> Drawdown:
        with self._db.begin() as transaction:
            self._file_agreement(transaction, current)
            line_id = contracts.get(transaction, current.contract_id).line_id
        request = loan_pb2.DisburseLoanRequest(
            request_id=f"disburse:{current.drawdown_id}",
            line_id=line_id,
            principal=money(current.amount, current.currency),
            periods=current.periods,
            repay_day=current.repay_day,
            card_token=current.card_token,
            source=current.drawdown_id,
        )
        try:
            loan = self._servicing.disburse(request)
        except grpc.RpcError as error:
            reason = refusal_to_lend(error)
            if not reason:
                raise
            return self._move(current, state="FAILED", customer_reasons=[reason])
        return self._move(current, state=drawdowns.state_of(loan), loan_id=loan.loan_id)

    def _followed(self, current: Drawdown) -> Drawdown:
        state = drawdowns.state_of(self._servicing.loan(current.loan_id))
        return current if state == "PAYING" else self._move(current, state=state)

    def _move(self, current: Drawdown, **values: object) -> Drawdown:
        with self._db.begin() as transaction:
            return drawdowns.move(transaction, current.drawdown_id, (current.state,), **values)

    def _file_agreement(self, transaction: Connection, current: Drawdown) -> None:
        contract = contracts.get(transaction, current.contract_id)
        person = self._file.person(transaction, current.customer_id)
        bound = {
            card.card_token: card.masked_number
            for card in cards.bound(transaction, self._cipher, current.customer_id)
        }
        terms = DrawdownTerms(
            drawdown_id=current.drawdown_id,
            contract_id=current.contract_id,
            amount=current.amount,
            currency=current.currency,
            rate=contract.rate,
            apr=current.apr,
            masked_card=bound[current.card_token],
        )
        pdf = contract_pdf.drawdown_agreement(terms, person.borrower, current.schedule)
        reason = f"customer assented {current.assented_at} by {current.assent_code_id}"
        archive.file(
            transaction,
            self._cipher,
            current.customer_id,
            FILED_AS,
            current.drawdown_id,
            self._signer.sign(pdf, reason),
            self._clock.now(),
        )
