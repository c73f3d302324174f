"""What a policy's shape cannot say: order, reach, gaps, bands. Paths are those of the document."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

from tael_risk.conditions import NUMBERS, Condition, features_read, never_holds
from tael_risk.documents import Fault
from tael_risk.features import FeatureDefinition, Registry, Source
from tael_risk.policies import (
    MADE_BY,
    OUTSIDE_SOURCES,
    STEP_ORDER,
    FailMode,
    Grade,
    Policy,
    Refusal,
    Result,
    Rule,
    Stage,
    Step,
)
from tael_risk.reasons import reason_codes
from tael_risk.scorecards import Bin, Characteristic

Faults = Iterator[Fault]


def check_policy(policy: Policy, registry: Registry) -> list[Fault]:
    """Every fault of a well-formed policy's sense."""
    checks: tuple[Callable[[Policy, Registry], Faults], ...] = (
        _check_stages,
        _check_rules,
        _check_sources,
        _check_scorecard,
        _check_grades,
        _check_limit,
        _check_price,
    )
    return [fault for check in checks for fault in check(policy, registry)]


def _check_stages(policy: Policy, _: Registry) -> Faults:
    for stage in Stage:
        steps = policy.stages.get(stage, ())
        path = f"stages.{stage}"
        if not steps:
            yield Fault(path, f"is missing or empty; {stage} needs its steps")
        for earlier, later in pairwise(steps):
            if STEP_ORDER.index(earlier) >= STEP_ORDER.index(later):
                order = ", ".join(STEP_ORDER)
                yield Fault(path, f"{later} may not follow {earlier}; the order is {order}")
        for step, needed in ((Step.LIMIT, Step.SCORE), (Step.PRICE, Step.LIMIT)):
            if step in steps and needed not in steps:
                yield Fault(path, f"{step} needs {needed} before it")
    absent = [step for step in STEP_ORDER if step not in policy.stages.get(Stage.APPLICATION, ())]
    if absent:
        yield Fault("stages.APPLICATION", f"lacks {', '.join(absent)}; it takes every step")


def _check_rules(policy: Policy, registry: Registry) -> Faults:
    seen: dict[tuple[Stage, Step, Condition], int] = {}
    for index, rule in enumerate(policy.rules):
        path = f"rules[{index}]"
        yield from _check_code(f"{path}.code", rule.code)
        if rule.result is Result.PASS and rule.if_unknown is Result.PASS:
            yield Fault(f"{path}.result", "a rule that can only PASS has no effect; remove it")
        if never_holds(rule.when):
            yield Fault(f"{path}.when", "can never hold; the rule is unreachable")
        yield from _check_known(f"{path}.when", rule.when, rule.step, registry)
        yield from _check_reach(path, rule, policy)
        for stage in sorted(rule.stages):
            first = seen.setdefault((stage, rule.step, rule.when), index)
            if first != index:
                yield Fault(f"{path}.when", f"repeats rules[{first}] at {stage}; remove one")


def _check_reach(path: str, rule: Rule, policy: Policy) -> Faults:
    if not rule.stages:
        yield Fault(f"{path}.stages", "is empty; the rule is unreachable")
    for stage in sorted(rule.stages):
        steps = policy.stages.get(stage, ())
        if rule.step not in steps:
            yield Fault(f"{path}.step", f"{stage} has no step {rule.step}; the rule is unreachable")
        for name in sorted(features_read(rule.when) & MADE_BY.keys()):
            if MADE_BY[name] not in steps:
                yield Fault(
                    f"{path}.when", f"{name} is never known: {stage} has no {MADE_BY[name]}"
                )


def _check_known(path: str, when: Condition, step: Step, registry: Registry) -> Faults:
    """A condition may read only what is known at its step: outside data is fetched late."""
    for name in sorted(features_read(when)):
        first = _known_from(registry[name])
        if STEP_ORDER.index(step) < STEP_ORDER.index(first):
            yield Fault(path, f"{name} is not known before {first}; {step} comes earlier")


def _known_from(definition: FeatureDefinition) -> Step:
    if definition.source in OUTSIDE_SOURCES:
        return Step.EXTERNAL
    return MADE_BY.get(definition.name, Step.ADMISSION)


def _check_code(path: str, code: str) -> Faults:
    if code not in reason_codes():
        yield Fault(path, f"{code} is not a known reason code")


def _check_refusal(path: str, refusal: Refusal) -> Faults:
    yield from _check_code(f"{path}.code", refusal.code)
    if refusal.result is Result.PASS:
        yield Fault(f"{path}.result", "must be REVIEW or REJECT")


def _check_sources(policy: Policy, registry: Registry) -> Faults:
    listed = [rules.source for rules in policy.sources]
    for index, rules in enumerate(policy.sources):
        path = f"sources[{index}]"
        if rules.source not in OUTSIDE_SOURCES:
            yield Fault(f"{path}.source", f"{rules.source} is no outside source")
        if rules.source in listed[:index]:
            yield Fault(f"{path}.source", f"{rules.source} is listed twice")
        if (rules.fail_mode is FailMode.FAIL_CLOSED) != (rules.refusal is not None):
            yield Fault(f"{path}.refusal", "is given with FAIL_CLOSED, and only with it")
        if rules.refusal:
            yield from _check_refusal(f"{path}.refusal", rules.refusal)
    for path, names in _reads(policy):
        for name in sorted(names):
            source = registry[name].source
            if source in OUTSIDE_SOURCES and source not in listed:
                yield Fault(path, f"{name} comes from {source}, which sources does not list")


def _reads(policy: Policy) -> Iterator[tuple[str, frozenset[str]]]:
    for index, rule in enumerate(policy.rules):
        yield f"rules[{index}].when", features_read(rule.when)
    for index, each in enumerate(policy.scorecard.characteristics):
        yield f"scorecard.characteristics[{index}].feature", frozenset({each.feature})
    for index, factor in enumerate(policy.limit.factors):
        yield f"limit.factors[{index}].when", features_read(factor.when)


def _check_scorecard(policy: Policy, registry: Registry) -> Faults:
    scale, card = policy.scorecard.scale, policy.scorecard
    if scale.odds <= 0 or scale.doubling <= 0:
        yield Fault("scorecard.scale", "odds and doubling must be positive")
    if not card.characteristics:
        yield Fault("scorecard.characteristics", "is empty; a score needs at least one")
    for index, each in enumerate(card.characteristics):
        path = f"scorecard.characteristics[{index}]"
        yield from _check_code(f"{path}.reason_code", each.reason_code)
        definition = registry[each.feature]
        if definition.source is Source.DECISION:
            yield Fault(
                f"{path}.feature", f"{each.feature} is the decision's own; a score precedes"
            )
        yield from _check_bins(f"{path}.bins", each, definition)


def _check_bins(path: str, each: Characteristic, definition: FeatureDefinition) -> Faults:
    absent = [bin_ for bin_ in each.bins if bin_.missing]
    if len(absent) > 1:
        yield Fault(path, "has more than one bin for a missing value")
    if not absent and definition.default is None:
        yield Fault(path, f"{each.feature} can be missing; add a bin with missing: true")
    if absent and definition.default is not None:
        yield Fault(path, f"{each.feature} has a default and is never missing; remove that bin")
    present = [bin_ for bin_ in each.bins if not bin_.missing]
    if not present:
        yield Fault(path, "has no bin for a value")
    elif definition.type in NUMBERS:
        yield from _check_ranges(path, present)
    else:
        yield from _check_values(path, present, definition)


def _check_ranges(path: str, bins: Sequence[Bin]) -> Faults:
    """Ranges in rising order, each beginning where the last ended, open at both ends."""
    if any(each.values is not None or each.others for each in bins):
        yield Fault(path, "numbers are binned by range")
        return
    if bins[0].start is not None:
        yield Fault(path, f'"{bins[0].label}" begins at {bins[0].start}; leave its from out')
    if bins[-1].end is not None:
        yield Fault(path, f'"{bins[-1].label}" ends at {bins[-1].end}; leave its below out')
    for left, right in pairwise(bins):
        if left.end is None or right.start is None or left.end > right.start:
            yield Fault(path, f'"{left.label}" and "{right.label}" overlap')
        elif left.end < right.start:
            yield Fault(path, f'gap between "{left.label}" and "{right.label}"')
    for each in bins:
        if each.start is not None and each.end is not None and each.start >= each.end:
            yield Fault(path, f'"{each.label}" is empty: it begins at or after its end')


def _check_values(path: str, bins: Sequence[Bin], definition: FeatureDefinition) -> Faults:
    named: set[object] = set()
    for each in bins:
        twice = named & (each.values or frozenset())
        if twice:
            yield Fault(
                path, f'"{each.label}" overlaps an earlier bin in {sorted(map(str, twice))}'
            )
        if each.values is None and not each.others:
            yield Fault(path, f'"{each.label}": {definition.type} is binned by values and others')
        named |= each.values or frozenset()
    others = [each for each in bins if each.others]
    if named >= {True, False}:
        if others:
            yield Fault(path, f'"{others[0].label}" takes nothing: true and false are both named')
    elif len(others) != 1 or bins[-1] is not others[0]:
        yield Fault(path, "must end with exactly one bin of others, which takes every other value")


def _check_grades(policy: Policy, _: Registry) -> Faults:
    grades = policy.grades
    if not grades or grades[-1].score_from is not None:
        yield Fault("grades", "the last grade takes every lower score: leave its score_from out")
    if len({grade.name for grade in grades}) < len(grades):
        yield Fault("grades", "a grade is named twice")
    for index, (better, worse) in enumerate(pairwise(grades)):
        if better.score_from is None or (
            worse.score_from is not None and better.score_from <= worse.score_from
        ):
            yield Fault(f"grades[{index}].score_from", "must be above that of the grade below it")
    for index, grade in enumerate(grades):
        yield from _check_grade(f"grades[{index}]", grade, policy)


def _check_grade(path: str, grade: Grade, policy: Policy) -> Faults:
    if not 0 <= grade.limit.max_debt_to_income <= 1:
        yield Fault(f"{path}.max_debt_to_income", 'must be from "0" to "1"')
    if grade.limit.income_multiple < 0:
        yield Fault(f"{path}.income_multiple", "must not be negative")
    if any(amount < 0 for amount in grade.limit.ceilings.values()):
        yield Fault(f"{path}.ceilings", "must not be negative")
    price = grade.price
    if price is None:
        if grade.limit.income_multiple:
            yield Fault(f"{path}.price", 'is missing; a grade without price lends nothing: set "0"')
        return
    if not 0 <= price.default_probability <= 1:
        yield Fault(f"{path}.price.default_probability", 'must be from "0" to "1"')
    if price.lowest_rate < 0 or price.rate < price.lowest_rate:
        yield Fault(f"{path}.price.rate", "must not be below lowest_rate, nor that below 0")
    cost = policy.price.cost(price.default_probability)
    if price.rate < cost:
        yield Fault(
            f"{path}.price.rate",
            f"{price.rate} is below the loan's cost {cost} (funding + operations + PD·LGD + capital)",
        )


def _check_limit(policy: Policy, registry: Registry) -> Faults:
    limit = policy.limit
    yield from _check_refusal("limit.refusal", policy.limit_refusal)
    if limit.floor_to < 1:
        yield Fault("limit.floor_to_minor_units", "must be positive")
    if limit.loan_to_value < 0:
        yield Fault("limit.loan_to_value", "must not be negative")
    for index, cap in enumerate(limit.caps):
        days = [value.effective_from for value in cap.values]
        if not days or len(set(days)) < len(days):
            yield Fault(f"limit.caps[{index}].values", "needs one value, and one only, a day")
        if any(value.amount < 0 for value in cap.values):
            yield Fault(f"limit.caps[{index}].values", "must not be negative")
    for index, factor in enumerate(limit.factors):
        path = f"limit.factors[{index}]"
        yield from _check_code(f"{path}.code", factor.code)
        if not 0 <= factor.factor <= 1:
            yield Fault(f"{path}.factor", 'must be from "0" to "1": a factor only cuts')
        if never_holds(factor.when):
            yield Fault(f"{path}.when", "can never hold; the factor is unreachable")
        yield from _check_known(f"{path}.when", factor.when, Step.SCORE, registry)


def _check_price(policy: Policy, _: Registry) -> Faults:
    price = policy.price
    yield from _check_refusal("price.refusal", policy.price_refusal)
    parts = (price.funding, price.operations, price.loss_given_default, price.capital)
    if any(part < Decimal(0) for part in parts):
        yield Fault("price", "its cost components must not be negative")
    days = [cap.effective_from for cap in price.cost_caps]
    if not days or len(set(days)) < len(days):
        yield Fault("price.cost_caps", "needs one rate, and one only, a day")
