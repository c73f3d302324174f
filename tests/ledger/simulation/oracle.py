"""What the ledger must answer to each request: its contracts and the rules of banking, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.simulation import accounts, closing, posting, reservations, rule_versions
from ledger.simulation.operations import Accepted, Foretold, Operation, Refused
from ledger.simulation.state import State

Handler = Callable[[State, Operation], Accepted | set[str]]
HANDLERS: dict[str, Handler] = {
    "RecordEvents": posting.record_events,
    "RecordEventColumns": posting.record_event_columns,
    "PostEntries": posting.post_entries,
    "PostColumns": posting.post_columns,
    "ImportOpeningBalances": posting.import_opening_balances,
    "ReverseEntry": posting.reverse_entry,
    "CreateAccounts": accounts.create_accounts,
    "SetAccountLimits": accounts.set_account_limits,
    "FreezeAccount": accounts.freeze_account,
    "UnfreezeAccount": accounts.unfreeze_account,
    "CloseAccount": accounts.close_account,
    "Reserve": reservations.reserve,
    "CommitReservation": reservations.commit_reservation,
    "ReleaseReservation": reservations.release_reservation,
    "CloseDay": closing.close_day,
    "ClosePeriod": closing.close_period,
    "PublishPostingRules": rule_versions.publish,
    "ApprovePostingRules": rule_versions.approve,
}


def foretell(state: State, operation: Operation) -> Foretold:
    """What the ledger must answer now; the state goes on where it accepts, else stays.

    A request_id used for something else is refused for that, or for what is wrong with it anyway.
    """
    known: tuple[Any, Foretold] | None = state.requests.get(operation.key)
    if known is not None and known[0] == operation.content():
        return known[1]
    mark, before = state.mark(), len(state.entries)
    outcome = HANDLERS[operation.rpc](state, operation)
    if known is not None:
        wrong = outcome if isinstance(outcome, set) else set()
        outcome = wrong | {"REQUEST_ID_REUSED"}
    if isinstance(outcome, set):
        state.back_to(mark)
        return Refused(frozenset(outcome))
    state.put(state.requests, operation.key, (operation.content(), outcome))
    for sequence in range(before + 1, len(state.entries) + 1):
        state.put(state.posted_by, sequence, operation.key)
    return outcome
