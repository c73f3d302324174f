"""All that stands in a book at the end of an episode, held against the oracle: no dice."""

from __future__ import annotations

from ledger.simulation import exports, readings
from ledger.simulation.accounts import account_message
from ledger.simulation.callers import Callers, insist
from ledger.simulation.queries import pages, same
from ledger.simulation.state import State

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb

MOST = 1000
"""Rows a page and accounts a request."""


def compare(state: State, callers: Callers) -> None:
    """The trial balance, every entry, every account, its balance and its statement, Beancount."""
    trial_balance(state, callers)
    entries(state, callers)
    accounts(state, callers)
    balances(state, callers)
    statements(state, callers)
    exports.beancount(state, callers)


def trial_balance(state: State, callers: Callers) -> None:
    """As of now."""
    request = ac.TrialBalanceRequest(book_id=state.book.book_id)
    answer = insist(lambda: callers.accounting.TrialBalance(request))
    same(answer, readings.trial_balance(state), request)


def entries(state: State, callers: Callers) -> None:
    """With the reversals made of them since."""
    request = pb.ListEntriesRequest(book_id=state.book.book_id, page_size=MOST)
    answers = pages(callers.ledger.ListEntries, request)
    found = [entry for answer in answers for entry in answer.entries]
    expected = [state.entry_message(entry, now=True) for entry in state.entries.values()]
    same(pb.ListEntriesResponse(entries=found), pb.ListEntriesResponse(entries=expected), request)


def accounts(state: State, callers: Callers) -> None:
    """With what is posted and pending on them, their state and limits."""
    request = pb.ListAccountsRequest(book_id=state.book.book_id, page_size=MOST)
    answers = pages(callers.ledger.ListAccounts, request)
    found = [account for answer in answers for account in answer.accounts]
    expected = [account_message(state, account) for _, account in sorted(state.accounts.items())]
    same(
        pb.ListAccountsResponse(accounts=found), pb.ListAccountsResponse(accounts=expected), request
    )


def balances(state: State, callers: Callers) -> None:
    """By adding up the lines."""
    held = sorted(state.accounts)
    for start in range(0, len(held), MOST):
        numbers = held[start : start + MOST]
        request = pb.GetBalancesRequest(book_id=state.book.book_id, account_numbers=numbers)
        expected = pb.GetBalancesResponse(balances=readings.balances(state, numbers))
        same(insist(lambda asked=request: callers.ledger.GetBalances(asked)), expected, request)


def statements(state: State, callers: Callers) -> None:
    """Of every account, from its first line to its last."""
    for number, expected in readings.statements(state, state.accounts).items():
        request = pb.ListLinesRequest(
            book_id=state.book.book_id, account_number=number, page_size=MOST
        )
        answers = pages(callers.ledger.ListLines, request)
        found = [line for answer in answers for line in answer.lines]
        same(pb.ListLinesResponse(lines=found), pb.ListLinesResponse(lines=expected), request)
