"""ContractService and ArchiveService: what is agreed, signed and kept."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from sqlalchemy import Connection

from tael.origination.v1 import contract_pb2 as pb
from tael.origination.v1 import contract_pb2_grpc
from tael_origination import archive, contracts, customers, phone_codes
from tael_origination.contracts import Contract
from tael_origination.digital_signature import LenderSigner
from tael_origination.reasons import Reason
from tael_origination.requests import WRONG_CODE, made_before, made_once
from tael_origination.signing import FILED_AS, Signing
from tael_runtime.errors import Internal
from tael_runtime.server import Runtime

CHUNK_BYTES = 64 * 1024


class Contracts(contract_pb2_grpc.ContractServiceServicer):
    """The rpcs."""

    def __init__(self, runtime: Runtime, signing: Signing, signer: LenderSigner) -> None:
        self._db = runtime.database
        self._clock = runtime.clock
        self._cipher = runtime.cipher
        self._signing = signing
        self._signer = signer

    def PrepareContract(
        self, request: pb.PrepareContractRequest, context: grpc.ServicerContext
    ) -> pb.PrepareContractResponse:
        """Sets the contract with its cost table."""
        del context
        contract_id = made_before(self._db, "PrepareContract", request) or self._prepare(request)
        return pb.PrepareContractResponse(contract=self._get(contract_id).message())

    def _prepare(self, request: pb.PrepareContractRequest) -> str:
        draft = self._signing.draft(request.application_id)
        return made_once(
            self._db,
            "PrepareContract",
            request,
            lambda transaction: contracts.prepare(transaction, draft),
        )

    def SignContract(
        self, request: pb.SignContractRequest, context: grpc.ServicerContext
    ) -> pb.SignContractResponse:
        """The customer by code, then the lender."""
        del context
        contract_id = request.contract_id
        customer_id = self._get(contract_id).customer_id

        def work(transaction: Connection) -> str:
            customers.lock(transaction, customer_id)
            current = contracts.get(transaction, contract_id, lock=True)
            contracts.require_signable(current, request.cost_table_seconds)
            now = self._clock.now()
            code_id = phone_codes.spend(transaction, self._cipher, customer_id, request.code, now)
            if code_id is None:
                return WRONG_CODE
            contracts.change(
                transaction,
                contract_id,
                assented_at=now,
                assent_code_id=code_id,
                cost_table_seconds=request.cost_table_seconds,
            )
            return contract_id

        if made_once(self._db, "SignContract", request, work) == WRONG_CODE:
            raise phone_codes.refuse_wrong(customer_id)
        return pb.SignContractResponse(contract=self._signing.seal(contract_id).message())

    def GetContract(
        self, request: pb.GetContractRequest, context: grpc.ServicerContext
    ) -> pb.GetContractResponse:
        """One contract."""
        del context
        return pb.GetContractResponse(contract=self._get(request.contract_id).message())

    def DownloadContract(
        self, request: pb.DownloadContractRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.DownloadContractResponse]:
        """The PDF as it stands."""
        del context
        pdf = self._document(self._get(request.contract_id))
        if pdf is None:
            raise Internal(
                Reason.DOCUMENT_DAMAGED, f"the document of {request.contract_id} cannot be opened"
            )
        for begin in range(0, len(pdf), CHUNK_BYTES):
            yield pb.DownloadContractResponse(chunk=pdf[begin : begin + CHUNK_BYTES])

    def VerifyContract(
        self, request: pb.VerifyContractRequest, context: grpc.ServicerContext
    ) -> pb.VerifyContractResponse:
        """Holds the archived bytes against the hash and the signature."""
        del context
        current = self._get(request.contract_id)
        contracts.require_signed(current)
        pdf = self._document(current)
        if pdf is None:
            return pb.VerifyContractResponse()
        verdict = self._signer.verify(pdf)
        return pb.VerifyContractResponse(
            hash_matches=archive.sha256(pdf) == current.document_hash,
            signature_intact=verdict.intact,
            signer=verdict.signer,
        )

    def _get(self, contract_id: str) -> Contract:
        with self._db.read() as snapshot:
            return contracts.get(snapshot, contract_id)

    def _document(self, current: Contract) -> bytes | None:
        if current.state != "SIGNED":
            return self._cipher.open(bytes(current.prepared_pdf))
        with self._db.read() as snapshot:
            return archive.fetch(snapshot, self._cipher, FILED_AS, current.contract_id)


class Archive(contract_pb2_grpc.ArchiveServiceServicer):
    """The rpc."""

    def __init__(self, runtime: Runtime) -> None:
        self._db = runtime.database

    def ListArchive(
        self, request: pb.ListArchiveRequest, context: grpc.ServicerContext
    ) -> pb.ListArchiveResponse:
        """What is filed of a customer."""
        del context
        with self._db.read() as snapshot:
            customers.require(snapshot, request.customer_id)
            return pb.ListArchiveResponse(
                documents=archive.of_customer(snapshot, request.customer_id)
            )
