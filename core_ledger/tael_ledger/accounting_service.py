"""AccountingService: contract messages in, the ledger's calls, contract messages out."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.ledger.v1 import accounting_pb2 as pb
from tael.ledger.v1 import accounting_pb2_grpc
from tael_client.values import from_date
from tael_ledger import books, closing, messages, periods, recording, report_messages, rules_store
from tael_ledger.closing import DayClose
from tael_ledger.face import key_of
from tael_ledger.journal import Anchor
from tael_ledger.periods import PeriodClose, month_of
from tael_ledger.posting_rules import RuleSet, check
from tael_ledger.postings import check_event
from tael_ledger.report_face import Reports
from tael_runtime import idempotency
from tael_runtime.fields import read_date
from tael_runtime.four_eyes import named_caller


class Accounting(Reports, accounting_pb2_grpc.AccountingServiceServicer):
    """Chart of accounts, posting rules, closing; reports in a part of their own."""

    def GetChartOfAccounts(
        self, request: pb.GetChartOfAccountsRequest, context: grpc.ServicerContext
    ) -> pb.GetChartOfAccountsResponse:
        """The chart of a book."""
        with self._database.read() as connection:
            chart = self._catalogue.chart(connection, request.book_id)
        return pb.GetChartOfAccountsResponse(
            accounts=[messages.gl_account(account) for account in chart.values()]
        )

    def PublishPostingRules(
        self, request: pb.PublishPostingRulesRequest, context: grpc.ServicerContext
    ) -> pb.PublishPostingRulesResponse:
        """Proposes the next version."""
        maker = named_caller()
        effective_from = read_date("effective_from", request.effective_from)
        rules = messages.read_rules(request.rules)
        for place, rule in enumerate(rules):
            check_event(f"rules[{place}].event", rule.key.event)
        with self._database.read() as connection:
            check(rules, self._catalogue.chart(connection, request.book_id))

        def propose(transaction: Connection) -> pb.PublishPostingRulesResponse:
            book = books.get(transaction, request.book_id, lock=True)
            rules_store.check_effective(effective_from, book.business_date)
            version = rules_store.propose(
                transaction,
                request.book_id,
                effective_from,
                rules,
                maker,
                request.description,
            )
            return pb.PublishPostingRulesResponse(version=messages.rules_version(version))

        return idempotency.once(
            self._database,
            "PublishPostingRules",
            request,
            pb.PublishPostingRulesResponse,
            propose,
        )

    def ApprovePostingRules(
        self, request: pb.ApprovePostingRulesRequest, context: grpc.ServicerContext
    ) -> pb.ApprovePostingRulesResponse:
        """The checker's word."""

        def approve(transaction: Connection) -> pb.ApprovePostingRulesResponse:
            book = books.get(transaction, request.book_id, lock=True)
            version = rules_store.approve(
                transaction,
                request.book_id,
                request.version,
                book.business_date,
                idempotency.current_caller(),
            )
            recording.record_approval(
                transaction,
                request.book_id,
                request.version,
                key_of("ApprovePostingRules", request.request_id),
                idempotency.content_hash(request),
            )
            return pb.ApprovePostingRulesResponse(version=messages.rules_version(version))

        return idempotency.once(
            self._database,
            "ApprovePostingRules",
            request,
            pb.ApprovePostingRulesResponse,
            approve,
        )

    def GetPostingRules(
        self, request: pb.GetPostingRulesRequest, context: grpc.ServicerContext
    ) -> pb.GetPostingRulesResponse:
        """One version with its rules, and those it lacks."""
        with self._database.read() as connection:
            book = books.get(connection, request.book_id)
            number = request.version or book.rules_version
            version = rules_store.get(connection, request.book_id, number)
            rules = rules_store.rules(connection, request.book_id, number)
        return pb.GetPostingRulesResponse(
            version=messages.rules_version(version),
            rules=[messages.posting_rule(rule) for rule in rules],
            missing=[messages.posting_rule(rule) for rule in RuleSet(number, rules).missing()],
        )

    def ListPostingRuleVersions(
        self, request: pb.ListPostingRuleVersionsRequest, context: grpc.ServicerContext
    ) -> pb.ListPostingRuleVersionsResponse:
        """Every version."""
        with self._database.read() as connection:
            books.get(connection, request.book_id)
            versions = rules_store.versions(connection, request.book_id)
        return pb.ListPostingRuleVersionsResponse(
            versions=[messages.rules_version(version) for version in versions]
        )

    def CloseDay(
        self, request: pb.CloseDayRequest, context: grpc.ServicerContext
    ) -> pb.CloseDayResponse:
        """Closes the business date."""
        business_date = read_date("business_date", request.business_date)
        self._face.chart(request.book_id)
        closing_day = DayClose(
            business_date,
            idempotency.current_caller(),
            key=key_of("CloseDay", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        self._face.submit(request.book_id, closing_day)
        with self._database.read() as connection:
            closed = closing.closed(connection, request.book_id, business_date)
        assert closed is not None, f"{business_date} was closed"
        return pb.CloseDayResponse(
            next_business_date=from_date(closed.next_business_date),
            head=messages.head(closed.head),
        )

    def ClosePeriod(
        self, request: pb.ClosePeriodRequest, context: grpc.ServicerContext
    ) -> pb.ClosePeriodResponse:
        """Closes a month."""
        month = month_of(read_date("period", request.period))
        self._face.chart(request.book_id)
        closing_period = PeriodClose(
            month,
            idempotency.current_caller(),
            key=key_of("ClosePeriod", request.request_id),
            content_hash=idempotency.content_hash(request),
        )
        self._face.submit(request.book_id, closing_period)
        with self._database.read() as connection:
            closed = periods.get(connection, request.book_id, month.first)
            assert closed is not None, f"{month.first:%Y-%m} was closed"
            head = closing.head(connection, request.book_id, closed.batch_number)
        return pb.ClosePeriodResponse(
            period=report_messages.period(closed),
            anchor=messages.anchor(Anchor(head.sequence, head.digest)),
        )
