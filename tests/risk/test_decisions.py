"""Decisions of the shipped policy: reasons, order, replay and the walk by phases."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk.applicants import BUSINESS_DATE, GOOD, shipped

from tael_risk.compiled_policies import compile_policy
from tael_risk.decisions import Decision, Outcome, advance, begin, conclude, evaluate
from tael_risk.features import Source, Value, shipped_registry
from tael_risk.policies import STEP_ORDER, FailMode, Result, Stage, Step, shipped_policy
from tael_risk.policy_documents import read_policy
from tael_risk.reasons import CustomerReason

COMPILED = shipped()
APPLICATION, DRAWDOWN = Stage.APPLICATION, Stage.DRAWDOWN

FLIPS: list[tuple[str, Value | None, Step, str, Result]] = [
    ("applicant.now.age", 21, Step.ADMISSION, "P001", Result.REJECT),
    ("applicant.now.age", 56, Step.ADMISSION, "P001", Result.REJECT),
    ("applicant.now.age", None, Step.ADMISSION, "P001", Result.REVIEW),
    ("applicant.maturity.age", 66, Step.ADMISSION, "P001", Result.REJECT),
    ("applicant.now.id_days_left", 29, Step.ADMISSION, "P002", Result.REJECT),
    ("applicant.now.student", True, Step.ADMISSION, "P004", Result.REJECT),
    ("request.now.purpose", "CRYPTO", Step.ADMISSION, "P005", Result.REJECT),
    ("request.now.amount", 20_000_001, Step.ADMISSION, "P006", Result.REJECT),
    ("request.now.amount", 99_999, Step.ADMISSION, "P006", Result.REJECT),
    ("consent.now.live", False, Step.ADMISSION, "P010", Result.REJECT),
    ("consent.now.live", None, Step.ADMISSION, "P010", Result.REJECT),
    ("identity.now.real_name", "MISMATCH", Step.ADMISSION, "K001", Result.REJECT),
    ("identity.now.real_name", "UNKNOWN", Step.ADMISSION, "K001", Result.REVIEW),
    ("identity.now.face_score", 79, Step.ADMISSION, "K002", Result.REVIEW),
    ("identity.now.face_live", False, Step.ADMISSION, "K002", Result.REVIEW),
    ("identity.now.four_elements", "MISMATCH", Step.ADMISSION, "K003", Result.REJECT),
    ("identity.now.four_elements", None, Step.ADMISSION, "K003", Result.REVIEW),
    ("applicant.now.monthly_income", None, Step.ADMISSION, "L002", Result.REJECT),
    ("device.30d.identities", 3, Step.ANTI_FRAUD, "F001", Result.REJECT),
    ("contact.90d.customers", 2, Step.ANTI_FRAUD, "F002", Result.REVIEW),
    ("device.now.emulator", True, Step.ANTI_FRAUD, "F004", Result.REVIEW),
    ("list.now.blacklisted", True, Step.INTERNAL, "I001", Result.REJECT),
    ("loans.now.overdue", 1, Step.INTERNAL, "I002", Result.REJECT),
    ("loans.24m.max_dpd", 60, Step.INTERNAL, "I002", Result.REJECT),
    ("applications.now.open", 1, Step.INTERNAL, "I003", Result.REJECT),
    ("applications.30d.rejected", 1, Step.INTERNAL, "P009", Result.REJECT),
    ("loans.ever.written_off", 1, Step.INTERNAL, "I004", Result.REJECT),
    ("court.now.listed", True, Step.EXTERNAL, "E001", Result.REJECT),
    ("court.now.listed", None, Step.EXTERNAL, "E001", Result.REVIEW),
    ("multi_lender.7d.queries", 5, Step.EXTERNAL, "E002", Result.REJECT),
    ("multi_lender.30d.queries", 10, Step.EXTERNAL, "E002", Result.REJECT),
    ("multi_lender.90d.queries", 15, Step.EXTERNAL, "E002", Result.REJECT),
    ("multi_lender.now.lenders", 8, Step.EXTERNAL, "E003", Result.REJECT),
    ("bureau.now.overdue", 50_001, Step.EXTERNAL, "B001", Result.REJECT),
    ("bureau.24m.worst_status", 3, Step.EXTERNAL, "B002", Result.REJECT),
]


def decide(stage: Stage = APPLICATION, **changes: Value | None) -> Decision:
    features = {**GOOD, **{name.replace("__", "."): value for name, value in changes.items()}}
    return evaluate(COMPILED, features, stage, BUSINESS_DATE)


def test_a_good_applicant_is_approved_with_the_limit_and_the_rate_of_his_grade() -> None:
    decision = decide()
    assert decision.outcome is Outcome.APPROVED
    assert (decision.score, decision.grade) == (613, "C")
    assert (decision.limit, decision.annual_rate) == (3_370_000, "0.12")
    assert dict(decision.limit_terms)["debt_to_income"] == 3_376_523
    assert [step.step for step in decision.steps] == list(STEP_ORDER)
    assert decision.reason_codes == ()
    assert decision.customer_reasons == ()
    assert decision.policy_version == "default@1"
    assert decision.bureau_used


@pytest.mark.parametrize(("feature", "value", "step", "code", "result"), FLIPS)
def test_one_changed_fact_changes_its_step_and_its_reason_only(
    feature: str, value: Value | None, step: Step, code: str, result: Result
) -> None:
    before, after = decide(), decide(**{feature: value})
    at = STEP_ORDER.index(step)
    assert after.steps[:at] == before.steps[:at]
    assert (after.steps[at].result, after.steps[at].reason_codes) == (result, (code,))
    assert after.steps[at].inputs_hash != before.steps[at].inputs_hash
    if result is Result.REJECT:
        assert after.outcome is Outcome.DECLINED
        assert [each.step for each in after.steps] == list(STEP_ORDER[: at + 1])
        assert (after.limit, after.annual_rate) == (None, None)
    else:
        assert after.outcome is Outcome.REVIEW
        assert after.steps[at + 1 :] == before.steps[at + 1 :]
        assert (after.limit, after.annual_rate) == (before.limit, before.annual_rate)
    assert after.reason_codes == (code,)


def test_every_rule_that_fires_in_a_step_is_told_in_the_policys_order() -> None:
    decision = decide(applicant__now__age=70, identity__now__four_elements="MISMATCH")
    assert decision.reason_codes == ("P001", "K003")
    assert decision.customer_reasons == (CustomerReason.ELIGIBILITY, CustomerReason.IDENTITY)
    fired = decision.steps[0].fired[0]
    assert fired.description == "age is from 22 to 55 at application"
    assert fired.inputs == {"applicant.now.age": "70"}


def test_a_low_score_declines_with_the_characteristics_that_lost_most() -> None:
    weak = {
        "bureau.3m.queries": 8,
        "multi_lender.30d.queries": 8,
        "bureau.now.card_utilisation": 95,
        "applicant.now.monthly_income": 500_000,
    }
    decision = decide(**weak)
    assert decision.outcome is Outcome.DECLINED
    assert decision.steps[-1].step is Step.SCORE
    assert decision.reason_codes == ("S001", "A001", "A003", "A002", "A005")
    assert decision.customer_reasons == (CustomerReason.OVERALL_ASSESSMENT,)
    assert decision.grade == "F"
    assert sum(each.points for each in decision.contributions) == decision.score


def test_a_score_between_the_cut_offs_goes_to_review_with_a_limit_to_approve_within() -> None:
    middling = {
        "bureau.3m.queries": 5,
        "multi_lender.30d.queries": 8,
        "bureau.now.monthly_due": 0,
    }
    decision = decide(**middling)
    assert decision.outcome is Outcome.REVIEW
    assert decision.grade == "E"
    assert decision.reason_codes[0] == "S002"
    assert (decision.limit, decision.annual_rate) == (2_000_000, "0.22")


def test_a_limit_below_the_least_the_product_lends_declines() -> None:
    decision = decide(bureau__now__monthly_due=599_000)
    assert decision.steps[-1].step is Step.LIMIT
    assert decision.reason_codes == ("L001",)
    assert decision.customer_reasons == (CustomerReason.AFFORDABILITY,)


def test_a_grade_that_cannot_be_priced_under_the_cap_is_declined_and_never_priced_above() -> None:
    grade_d = {"multi_lender.30d.queries": 8}
    assert decide(**grade_d).annual_rate == "0.18"
    decision = decide(**grade_d, product__now__cost_cap=Decimal("0.12"))
    assert decision.steps[-1].step is Step.PRICE
    assert decision.reason_codes == ("R001",)
    assert decide(product__now__cost_cap=Decimal("0.12")).annual_rate == "0.12"


def test_a_thin_file_halves_the_limit() -> None:
    assert decide(bureau__now__accounts=1).limit == 1_680_000


def test_a_drawdown_is_checked_lightly_and_gets_no_limit() -> None:
    decision = decide(DRAWDOWN)
    assert decision.outcome is Outcome.APPROVED
    assert [step.step for step in decision.steps] == list(STEP_ORDER[:5])
    assert (decision.limit, decision.annual_rate) == (None, None)


@pytest.mark.parametrize(
    ("feature", "value", "code"),
    [
        ("line.now.state", "FROZEN", "D001"),
        ("request.now.amount", 3_000_001, "D002"),
        ("drawdowns.1d.count", 4, "D003"),
        ("warning.now.level", 3, "D004"),
        ("loans.now.overdue", 1, "I002"),
        ("consent.now.live", False, "P010"),
        ("device.30d.identities", 3, "F001"),
        ("identity.now.four_elements", "MISMATCH", "K003"),
    ],
)
def test_a_drawdown_is_declined_for(feature: str, value: Value, code: str) -> None:
    decision = decide(DRAWDOWN, **{feature: value})
    assert decision.outcome is Outcome.DECLINED
    assert decision.reason_codes == (code,)


def test_outside_sources_are_wanted_one_by_one_and_only_after_the_steps_before_passed() -> None:
    wanted: list[tuple[Step, Source | None]] = []
    progress = begin(COMPILED, APPLICATION, BUSINESS_DATE)
    while (phase := progress.next_phase) is not None:
        wanted.append((phase.step, phase.source))
        progress = advance(progress, GOOD)
    assert conclude(progress) == decide()
    assert wanted[3:5] == [(Step.EXTERNAL, Source.EXTERNAL), (Step.EXTERNAL, Source.BUREAU)]
    assert [source for step, source in wanted if step is not Step.EXTERNAL] == [None] * 6


def test_the_dear_source_is_not_asked_once_the_cheap_one_rejected() -> None:
    decision = decide(court__now__listed=True)
    assert not decision.bureau_used
    assert "bureau.now.overdue" not in decision.steps[-1].inputs


def test_a_source_that_does_not_answer_fails_closed_into_review() -> None:
    silent: dict[str, Value | None] = {
        name: None if shipped_registry()[name].source is Source.BUREAU else value
        for name, value in GOOD.items()
    }
    progress = begin(COMPILED, APPLICATION, BUSINESS_DATE)
    while (phase := progress.next_phase) is not None:
        progress = advance(progress, silent, unanswered=phase.source is Source.BUREAU)
    decision = conclude(progress)
    assert "B008" in decision.reason_codes
    assert decision.steps[3].result is Result.REVIEW
    assert not decision.bureau_used


def test_a_source_to_be_tried_again_decides_nothing() -> None:
    registry = shipped_registry()
    policy = read_policy(shipped_policy(), registry)
    again = tuple(replace(each, fail_mode=FailMode.RETRY, refusal=None) for each in policy.sources)
    compiled = compile_policy(replace(policy, sources=again), 1, registry)
    assert compiled.fail_mode(Source.EXTERNAL) is FailMode.RETRY
    progress = begin(compiled, APPLICATION, BUSINESS_DATE)
    for _ in range(3):
        progress = advance(progress, GOOD)
    with pytest.raises(ValueError, match="to be tried again"):
        advance(progress, GOOD, unanswered=True)


def test_a_decision_that_is_made_takes_no_further_phase() -> None:
    progress = advance(begin(COMPILED, APPLICATION, BUSINESS_DATE), {})
    with pytest.raises(ValueError, match="the decision is made"):
        advance(progress, GOOD)
    with pytest.raises(ValueError, match="still to be walked"):
        conclude(begin(COMPILED, APPLICATION, BUSINESS_DATE))


facts = st.fixed_dictionaries(
    {},
    optional={feature: st.sampled_from([value, GOOD[feature]]) for feature, value, *_ in FLIPS},
)


@given(facts)
def test_the_same_inputs_and_version_give_the_same_decision(
    changed: dict[str, Value | None],
) -> None:
    shuffled = dict(reversed({**GOOD, **changed}.items()))
    first = decide(**changed)
    again = evaluate(shipped(), shuffled, APPLICATION, BUSINESS_DATE)
    assert first == again
    assert first.digest == again.digest


@given(facts)
def test_a_decision_is_the_worst_of_its_steps_and_ends_at_the_first_reject(
    changed: dict[str, Value | None],
) -> None:
    decision = decide(**changed)
    results = [step.result for step in decision.steps]
    assert Result.REJECT not in results[:-1]
    expected = (
        Outcome.DECLINED
        if Result.REJECT in results
        else Outcome.REVIEW
        if Result.REVIEW in results
        else Outcome.APPROVED
    )
    assert decision.outcome is expected
    assert (decision.outcome is Outcome.DECLINED) == (decision.limit is None)
