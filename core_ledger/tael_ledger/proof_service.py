"""ProofService: contract messages in, the ledger's calls, contract messages out."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from sqlalchemy import Connection

from tael.ledger.v1 import proof_pb2 as pb
from tael.ledger.v1 import proof_pb2_grpc
from tael_ledger import books, canonical, closing, export, inclusion, messages
from tael_ledger.books import Book
from tael_ledger.chart import Chart
from tael_ledger.journal import Anchor
from tael_ledger.parquet import parquet
from tael_ledger.proof import Proof
from tael_runtime.database import Database


class Proving(proof_pb2_grpc.ProofServiceServicer):
    """The books' proof of themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def Prove(
        self, request: pb.ProveRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ProveResponse]:
        """Findings, then the summary."""
        anchor = _anchor(request)
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            chart = books.chart(connection, request.book_id)
            proof = Proof(connection, book, chart, anchor)
            for finding in proof.run():
                yield pb.ProveResponse(
                    finding=pb.Finding(
                        check=pb.Check.Value(f"CHECK_{finding.check}"),
                        subject=finding.subject,
                        message=finding.message,
                    )
                )
            head = closing.head(connection, request.book_id, proof.chain.place.batch_number)
        yield pb.ProveResponse(
            summary=pb.ProofSummary(
                entries=proof.entries,
                lines=proof.lines,
                accounts=proof.accounts,
                batches=proof.chain.batches,
                findings=proof.findings,
                head=messages.head(head),
            )
        )

    def GetHead(
        self, request: pb.GetHeadRequest, context: grpc.ServicerContext
    ) -> pb.GetHeadResponse:
        """The chain's head."""
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            head = closing.head(connection, request.book_id, book.last_batch)
        return pb.GetHeadResponse(head=messages.head(head))

    def VerifyEntry(
        self, request: pb.VerifyEntryRequest, context: grpc.ServicerContext
    ) -> pb.VerifyEntryResponse:
        """An entry's place in the chain."""
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            found = inclusion.verify(connection, book, request.sequence, _anchor(request))
        return pb.VerifyEntryResponse(
            included=not found.message,
            message=found.message,
            batch_number=found.batch_number,
            previous_digest=found.previous,
            content_digest=found.content,
            later_content_digests=found.later,
            anchor=messages.anchor(found.anchor),
        )

    def ExportJournal(
        self, request: pb.ExportJournalRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportJournalResponse]:
        """The journal as a file, in chunks."""
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            chart = books.chart(connection, request.book_id)
            for chunk in export.cut(_file(connection, book, chart, request.format)):
                yield pb.ExportJournalResponse(chunk=chunk)


def _anchor(request: pb.ProveRequest | pb.VerifyEntryRequest) -> Anchor | None:
    if not request.HasField("anchor"):
        return None
    return Anchor(request.anchor.sequence, request.anchor.digest)


def _file(
    connection: Connection, book: Book, chart: Chart, form: pb.ExportFormat.ValueType
) -> Iterator[bytes]:
    if form == pb.EXPORT_FORMAT_PARQUET:
        return parquet(connection, book, chart)
    if form == pb.EXPORT_FORMAT_CANONICAL:
        return export.in_chunks(canonical.canonical(connection, book.book_id))
    if form == pb.EXPORT_FORMAT_CSV:
        return export.in_chunks(export.comma_separated(connection, book, chart))
    return export.in_chunks(export.beancount(connection, book, chart))
