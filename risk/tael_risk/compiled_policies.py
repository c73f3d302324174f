"""Published policies as Python functions, in the phases that a decision walks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tael_risk.conditions import Truth, compile_conditions, features_read
from tael_risk.features import FeatureValues, Registry, Source
from tael_risk.policies import GRADE_FEATURE, OUTSIDE_SOURCES, FailMode, Policy, Rule, Stage, Step

INCOME = "applicant.now.monthly_income"
DECLARED_DUE = "applicant.now.monthly_due"
BUREAU_DUE = "bureau.now.monthly_due"
SEGMENT = "applicant.now.segment"
EXPOSURE = "loans.now.exposure"
COLLATERAL = "collateral.now.value"
PRODUCT_MIN = "product.now.min_amount"
PRODUCT_MAX = "product.now.max_amount"
PERIODS = "request.now.periods"
COST_CAP = "product.now.cost_cap"
LIMIT_READS = frozenset(
    {
        INCOME,
        DECLARED_DUE,
        BUREAU_DUE,
        SEGMENT,
        EXPOSURE,
        COLLATERAL,
        PRODUCT_MIN,
        PRODUCT_MAX,
        PERIODS,
        COST_CAP,
    }
)


@dataclass(frozen=True)
class Phase:
    """A step, or the part of the external step that one source feeds."""

    step: Step
    source: Source | None
    """The outside source to fetch before it; None = nothing to fetch."""
    reads: frozenset[str]
    rules: tuple[Rule, ...]
    decide: Callable[[FeatureValues], tuple[Truth, ...]]


@dataclass(frozen=True)
class CompiledPolicy:
    """A published policy, ready to decide."""

    policy: Policy
    version: str
    """"default@3"."""
    stages: Mapping[Stage, tuple[Phase, ...]]
    decide_factors: Callable[[FeatureValues], tuple[Truth, ...]]

    def fail_mode(self, source: Source) -> FailMode:
        """What the silence of an outside source means."""
        return next(each.fail_mode for each in self.policy.sources if each.source is source)


def compile_policy(policy: Policy, version: int, registry: Registry) -> CompiledPolicy:
    """A checked policy as Python functions, under the version it was published as."""
    return CompiledPolicy(
        policy=policy,
        version=f"{policy.name}@{version}",
        stages={
            stage: tuple(
                phase for step in steps for phase in _phases(policy, stage, step, registry)
            )
            for stage, steps in policy.stages.items()
        },
        decide_factors=compile_conditions(factor.when for factor in policy.limit.factors),
    )


def _phases(policy: Policy, stage: Stage, step: Step, registry: Registry) -> list[Phase]:
    """A step's phases: one, but for EXTERNAL, which has one for each source it needs, in order."""
    rules = [rule for rule in policy.rules if rule.step is step and stage in rule.stages]
    if step is not Step.EXTERNAL:
        return [_phase(policy, step, None, rules)]
    wanted = _outside_sources(policy, stage, registry)
    order = [each.source for each in policy.sources if each.source in wanted]
    if not order:
        return [_phase(policy, step, None, rules)]
    dearest = [
        max((order.index(registry[name].source) for name in _outside(rule, registry)), default=0)
        for rule in rules
    ]
    return [
        _phase(
            policy, step, source, [r for r, at in zip(rules, dearest, strict=True) if at == index]
        )
        for index, source in enumerate(order)
    ]


def _outside(rule: Rule, registry: Registry) -> list[str]:
    return [name for name in features_read(rule.when) if registry[name].source in OUTSIDE_SOURCES]


def _outside_sources(policy: Policy, stage: Stage, registry: Registry) -> frozenset[Source]:
    """The outside sources that anything in a stage reads."""
    steps = policy.stages[stage]
    rules = [rule for rule in policy.rules if stage in rule.stages]
    names = {name for rule in rules for name in features_read(rule.when)}
    if Step.SCORE in steps:
        names |= {each.feature for each in policy.scorecard.characteristics}
    if Step.LIMIT in steps:
        names |= _limit_reads(policy)
    return frozenset(registry[name].source for name in names) & OUTSIDE_SOURCES


def _limit_reads(policy: Policy) -> frozenset[str]:
    return LIMIT_READS.union(*(features_read(factor.when) for factor in policy.limit.factors))


def _phase(policy: Policy, step: Step, source: Source | None, rules: list[Rule]) -> Phase:
    reads = frozenset[str]().union(*(features_read(rule.when) for rule in rules))
    match step:
        case Step.SCORE:
            reads |= {each.feature for each in policy.scorecard.characteristics}
        case Step.LIMIT:
            reads |= _limit_reads(policy) | {GRADE_FEATURE}
        case Step.PRICE:
            reads |= {GRADE_FEATURE, COST_CAP}
    return Phase(step, source, reads, tuple(rules), compile_conditions(r.when for r in rules))
