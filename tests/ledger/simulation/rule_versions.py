"""The oracle on versions of the posting rules: proposed by one, approved by another."""

from __future__ import annotations

from dataclasses import replace

from ledger.simulation.operations import Accepted, Operation
from ledger.simulation.posting import RESERVED_EVENTS
from ledger.simulation.state import Rules, State

from tael.ledger.v1 import accounting_pb2 as ac
from tael.ledger.v1 import ledger_pb2 as pb
from tael_client.values import from_date, to_date

KEYS = ("event", "amount_type", "product", "accrual_status", "lender_type", "vat_mode")


def version_message(rules: Rules) -> ac.PostingRulesVersion:
    """A version as answers show it."""
    return ac.PostingRulesVersion(
        version=rules.version,
        state=ac.RULES_STATE_APPROVED if rules.checker else ac.RULES_STATE_PROPOSED,
        effective_from=from_date(rules.effective_from),
        maker=rules.maker,
        checker=rules.checker,
        description=rules.description,
    )


def publish(state: State, operation: Operation) -> Accepted | set[str]:
    """The next version, which waits for a checker."""
    request: ac.PublishPostingRulesRequest = operation.parts[0]
    reasons = set()
    if to_date(request.effective_from) < state.business_date:
        reasons.add("EFFECTIVE_DATE_PASSED")
    keys = [tuple(getattr(rule, key) for key in KEYS) for rule in request.rules]
    if len(set(keys)) < len(keys):
        reasons.add("DUPLICATE_POSTING_RULE")
    if any(rule.event in RESERVED_EVENTS for rule in request.rules):
        reasons.add("RESERVED_EVENT")
    for rule in request.rules:
        for posting in rule.postings:
            codes = (posting.debit.gl_code, posting.credit.gl_code)
            if not all(code in state.chart for code in codes):
                reasons.add("UNKNOWN_GL_CODE")
                continue
            memo = {state.chart[code].account_class == pb.ACCOUNT_CLASS_MEMO for code in codes}
            if len(memo) > 1:
                reasons.add("MEMO_MIXED_WITH_BALANCE")
            if posting.debit == posting.credit:
                reasons.add("INVALID_FIELD")
    rules = Rules(
        len(state.rules) + 1,
        to_date(request.effective_from),
        tuple(request.rules),
        request.description,
        operation.caller,
    )
    state.put(state.rules, rules.version, rules)
    return reasons or Accepted(ac.PublishPostingRulesResponse(version=version_message(rules)))


def approve(state: State, operation: Operation) -> Accepted | set[str]:
    """By another than its maker, before its first day has passed."""
    request: ac.ApprovePostingRulesRequest = operation.parts[0]
    rules = state.rules.get(request.version)
    if rules is None:
        return {"RESOURCE_NOT_FOUND"}
    reasons = set()
    if rules.maker == operation.caller:
        reasons.add("MAKER_IS_CHECKER")
    if rules.checker:
        reasons.add("RULES_NOT_PROPOSED")
    if rules.effective_from < state.business_date:
        reasons.add("EFFECTIVE_DATE_PASSED")
    after = replace(rules, checker=operation.caller)
    state.put(state.rules, rules.version, after)
    return reasons or Accepted(ac.ApprovePostingRulesResponse(version=version_message(after)))
