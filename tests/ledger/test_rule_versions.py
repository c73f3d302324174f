"""Posting rules are data: proposed by one, approved by another, effective from a day on."""

from __future__ import annotations

import grpc
import pytest
from ledger.ledger_case import LedgerUnderTest, lines

from support import day, refusal, rid, violations
from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import accounting_pb2_grpc
from tael.ledger.v1 import ledger_pb2 as pb


def rules_of(book: LedgerUnderTest, version: int = 0) -> ac.GetPostingRulesResponse:
    """A version with its rules."""
    request = ac.GetPostingRulesRequest(book_id=book.book_id, version=version)
    return book.accounting.GetPostingRules(request)


def publish(
    book: LedgerUnderTest,
    rules: list[ac.PostingRule],
    effective_from: str = "2026-01-15",
    maker: str = "tester",
) -> ac.PublishPostingRulesResponse:
    """Proposes rules."""
    stub = book.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub, caller=maker)
    return stub.PublishPostingRules(
        ac.PublishPostingRulesRequest(
            request_id=rid(),
            book_id=book.book_id,
            effective_from=day(effective_from),
            rules=rules,
            description="waive fees to another account",
        )
    )


def approve(book: LedgerUnderTest, version: int, checker: str) -> ac.ApprovePostingRulesResponse:
    """Approves rules."""
    stub = book.house.client("ledger", accounting_pb2_grpc.AccountingServiceStub, caller=checker)
    return stub.ApprovePostingRules(
        ac.ApprovePostingRulesRequest(request_id=rid(), book_id=book.book_id, version=version)
    )


def with_commission_on(book: LedgerUnderTest, gl_code: str) -> list[ac.PostingRule]:
    """The rules in force, with commissions charged to another account."""
    rules = list(rules_of(book).rules)
    for rule in rules:
        if rule.event == "COMMISSION_DUE":
            rule.postings[0].debit.gl_code = gl_code
    return rules


def commission(book: LedgerUnderTest) -> pb.Entry:
    """Books a commission."""
    return book.post("COMMISSION_DUE", commission=100).entries[0]


def test_a_changed_row_changes_the_accounts_with_no_change_of_code(book: LedgerUnderTest) -> None:
    assert "6421" in lines(commission(book))
    version = publish(book, with_commission_on(book, "6601")).version
    assert (version.version, version.state, version.maker) == (
        2,
        ac.RULES_STATE_PROPOSED,
        "tester",
    )
    assert "6421" in lines(commission(book))
    assert approve(book, 2, "checker").version.checker == "checker"
    entry = commission(book)
    assert "6601" in lines(entry)
    assert entry.rules_version == 2
    assert [v.version for v in _versions(book)] == [2, 1]


def test_a_version_tells_what_it_lacks_of_a_new_books_and_takes_it(book: LedgerUnderTest) -> None:
    first = rules_of(book)
    assert not first.missing
    kept = [rule for rule in first.rules if rule.event != "COMMISSION_DUE"]
    publish(book, kept)
    approve(book, 2, "checker")
    with pytest.raises(grpc.RpcError) as refused:
        commission(book)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NO_POSTING_RULE")
    second = rules_of(book)
    assert {rule.event for rule in second.missing} == {"COMMISSION_DUE"}
    publish(book, [*second.rules, *second.missing])
    approve(book, 3, "checker")
    assert "6421" in lines(commission(book))
    assert rules_of(book).rules == first.rules
    assert not rules_of(book).missing


def test_rules_of_a_later_day_wait_for_it(book: LedgerUnderTest) -> None:
    publish(book, with_commission_on(book, "6601"), effective_from="2026-01-16")
    approve(book, 2, "checker")
    assert "6421" in lines(commission(book))
    book.close_day("2026-01-15")
    assert "6601" in lines(commission(book))
    assert rules_of(book).version.version == 2


def test_of_versions_due_on_one_day_the_newest_comes_into_force_and_a_proposal_does_not(
    book: LedgerUnderTest,
) -> None:
    for gl_code in ("6601", "6711"):
        publish(book, with_commission_on(book, gl_code), effective_from="2026-01-16")
    publish(book, with_commission_on(book, "6403"), effective_from="2026-01-16")
    for version in (3, 2):
        approve(book, version, "checker")
    assert rules_of(book).version.version == 1
    book.close_day("2026-01-15")
    assert commission(book).rules_version == 3
    assert "6711" in lines(commission(book))
    approve(book, 4, "checker")
    assert "6403" in lines(commission(book))


def test_rules_come_into_force_on_their_day_and_not_before(book: LedgerUnderTest) -> None:
    publish(book, with_commission_on(book, "6711"), effective_from="2026-01-17")
    publish(book, with_commission_on(book, "6601"), effective_from="2026-01-16")
    for version in (2, 3):
        approve(book, version, "checker")
    served = []
    for text_date in ("2026-01-15", "2026-01-16", "2026-01-17"):
        served.append(commission(book).rules_version)
        book.close_day(text_date)
    assert served == [1, 3, 2]


def test_the_maker_may_not_be_the_checker(book: LedgerUnderTest) -> None:
    publish(book, with_commission_on(book, "6601"))
    with pytest.raises(grpc.RpcError) as error:
        approve(book, 2, "tester")
    assert refusal(error.value) == ("PERMISSION_DENIED", "MAKER_IS_CHECKER")
    approve(book, 2, "checker")
    with pytest.raises(grpc.RpcError) as error:
        approve(book, 2, "third")
    assert refusal(error.value) == ("FAILED_PRECONDITION", "RULES_NOT_PROPOSED")


@pytest.mark.parametrize("nobody", ["", "system"])
def test_nobody_in_particular_proposes_no_rules_to_approve_under_a_name(
    book: LedgerUnderTest, nobody: str
) -> None:
    with pytest.raises(grpc.RpcError) as error:
        publish(book, with_commission_on(book, "6601"), maker=nobody)
    assert refusal(error.value) == ("PERMISSION_DENIED", "CALLER_UNNAMED")
    assert [v.version for v in _versions(book)] == [1]


def test_rules_are_refused_with_their_place_and_reason(book: LedgerUnderTest) -> None:
    with pytest.raises(grpc.RpcError) as error:
        publish(book, with_commission_on(book, "9999"))
    assert refusal(error.value) == ("INVALID_ARGUMENT", "UNKNOWN_GL_CODE")
    with pytest.raises(grpc.RpcError) as error:
        publish(book, with_commission_on(book, "7001"))
    assert refusal(error.value) == ("INVALID_ARGUMENT", "MEMO_MIXED_WITH_BALANCE")
    rules = with_commission_on(book, "6601")
    own = ac.PostingRule.FromString(rules[0].SerializeToString())
    own.event = "PERIOD_CLOSED"
    with pytest.raises(grpc.RpcError) as error:
        publish(book, [*rules, own])
    assert refusal(error.value) == ("INVALID_ARGUMENT", "RESERVED_EVENT")
    assert list(violations(error.value)) == [f"rules[{len(rules)}].event"]
    with pytest.raises(grpc.RpcError) as error:
        publish(book, [*rules, rules[0]])
    assert refusal(error.value) == ("INVALID_ARGUMENT", "DUPLICATE_POSTING_RULE")
    with pytest.raises(grpc.RpcError) as error:
        publish(book, rules, effective_from="2026-01-14")
    assert refusal(error.value) == ("FAILED_PRECONDITION", "EFFECTIVE_DATE_PASSED")


def test_rules_whose_day_has_passed_are_not_approved(book: LedgerUnderTest) -> None:
    publish(book, with_commission_on(book, "6601"))
    book.close_day("2026-01-15")
    with pytest.raises(grpc.RpcError) as error:
        approve(book, 2, "checker")
    assert refusal(error.value) == ("FAILED_PRECONDITION", "EFFECTIVE_DATE_PASSED")


def test_the_chart_of_accounts_has_the_memo_accounts_and_their_contra(
    book: LedgerUnderTest,
) -> None:
    request = ac.GetChartOfAccountsRequest(book_id=book.book_id)
    chart = {row.code: row for row in book.accounting.GetChartOfAccounts(request).accounts}
    assert list(chart) == sorted(chart)
    assert chart["1303.01"].name == "贷款-本金-正常"
    assert chart["7999"].account_class == pb.ACCOUNT_CLASS_MEMO


def _versions(book: LedgerUnderTest) -> list[ac.PostingRulesVersion]:
    request = ac.ListPostingRuleVersionsRequest(book_id=book.book_id)
    return list(book.accounting.ListPostingRuleVersions(request).versions)
