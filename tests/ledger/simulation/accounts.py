"""The oracle on accounts: opened, limited, frozen, closed."""

from __future__ import annotations

from dataclasses import replace

from ledger.simulation.operations import Accepted, Operation
from ledger.simulation.state import Account, State

from tael.ledger.v1 import ledger_pb2 as pb

OPEN, FROZEN, CLOSED = (
    pb.ACCOUNT_STATE_OPEN,
    pb.ACCOUNT_STATE_FROZEN,
    pb.ACCOUNT_STATE_CLOSED,
)


def account_message(state: State, account: Account) -> pb.Account:
    """An account as answers show it."""
    gl_account = state.chart[account.gl_code]
    owner = [*account.number.split(":"), "", ""]
    return pb.Account(
        account_number=account.number,
        gl_code=account.gl_code,
        owner_type=owner[1],
        owner_id=owner[2],
        account_class=gl_account.account_class,
        normal_side=gl_account.normal_side,
        debits_posted=account.debits,
        credits_posted=account.credits,
        balance=state.on_normal_side(account.number, account.debits, account.credits),
        debits_pending=account.debits_pending,
        credits_pending=account.credits_pending,
        state=account.state,
        limits=account.limits,
        lines_posted=account.lines,
    )


def contradicts(state: State, gl_code: str, limits: pb.AccountLimits) -> bool:
    """Whether no balance, or none but a wrong one, is within the limits."""
    debit_normal = state.chart[gl_code].normal_side == pb.SIDE_DEBIT
    none_above = limits.no_debit_balance if debit_normal else limits.no_credit_balance
    return none_above and limits.HasField("floor") and limits.floor > 0


def create_accounts(state: State, operation: Operation) -> Accepted | set[str]:
    """All or none."""
    request: pb.CreateAccountsRequest = operation.parts[0]
    reasons = set()
    opened = []
    for new in request.accounts:
        if new.gl_code not in state.chart:
            reasons.add("UNKNOWN_GL_CODE")
            continue
        owner = f":{new.owner.owner_type}:{new.owner.owner_id}" if new.HasField("owner") else ""
        account = Account(new.gl_code + owner, limits=new.limits)
        if contradicts(state, new.gl_code, new.limits):
            reasons.add("LIMITS_CONTRADICT")
        if not state.within_limits(account):
            reasons.add("LIMIT_BROKEN_NOW")
        if account.number in state.accounts:
            reasons.add("ACCOUNT_EXISTS")
        state.put(state.accounts, account.number, account)
        opened.append(account_message(state, account))
    return reasons or Accepted(pb.CreateAccountsResponse(accounts=opened))


def set_account_limits(state: State, operation: Operation) -> Accepted | set[str]:
    """From now on."""
    request: pb.SetAccountLimitsRequest = operation.parts[0]
    account = state.accounts.get(request.account_number)
    if account is None:
        return {"RESOURCE_NOT_FOUND"}
    after = replace(account, limits=request.limits)
    reasons = set()
    if account.state == CLOSED:
        reasons.add("ACCOUNT_CLOSED")
    if contradicts(state, account.gl_code, request.limits):
        reasons.add("LIMITS_CONTRADICT")
    if not state.within_limits(after):
        reasons.add("LIMIT_BROKEN_NOW")
    state.put(state.accounts, after.number, after)
    return reasons or Accepted(pb.SetAccountLimitsResponse(account=account_message(state, after)))


def freeze_account(state: State, operation: Operation) -> Accepted | set[str]:
    """Until it is unfrozen."""
    return _turn(
        state,
        operation.parts[0].account_number,
        {FROZEN: "ACCOUNT_FROZEN", CLOSED: "ACCOUNT_CLOSED"},
        FROZEN,
        pb.FreezeAccountResponse,
    )


def unfreeze_account(state: State, operation: Operation) -> Accepted | set[str]:
    """The freeze ends."""
    return _turn(
        state,
        operation.parts[0].account_number,
        {OPEN: "ACCOUNT_NOT_FROZEN", CLOSED: "ACCOUNT_NOT_FROZEN"},
        OPEN,
        pb.UnfreezeAccountResponse,
    )


def close_account(state: State, operation: Operation) -> Accepted | set[str]:
    """For good, at zero."""
    number = operation.parts[0].account_number
    account = state.accounts.get(number) or Account(number)
    standing = (account.debits - account.credits, account.debits_pending, account.credits_pending)
    outcome = _turn(
        state,
        number,
        {FROZEN: "ACCOUNT_FROZEN", CLOSED: "ACCOUNT_CLOSED"},
        CLOSED,
        pb.CloseAccountResponse,
    )
    if not any(standing):
        return outcome
    return {"ACCOUNT_NOT_ZERO"} | (outcome if isinstance(outcome, set) else set())


_Turned = pb.FreezeAccountResponse | pb.UnfreezeAccountResponse | pb.CloseAccountResponse


def _turn(
    state: State,
    number: str,
    refused: dict[int, str],
    to: pb.AccountState.ValueType,
    answer: type[_Turned],
) -> Accepted | set[str]:
    account = state.accounts.get(number)
    if account is None:
        return {"RESOURCE_NOT_FOUND"}
    if account.state in refused:
        return {refused[account.state]}
    after = replace(account, state=to)
    state.put(state.accounts, number, after)
    return Accepted(answer(account=account_message(state, after)))
