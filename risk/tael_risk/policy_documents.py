"""Reading a policy document: its shape, then everything the shape cannot say."""

import hashlib
from collections.abc import Iterable

from tael_risk.conditions import literal, read_condition
from tael_risk.documents import DocumentInvalid, Fault, Node, canonical, parse_json
from tael_risk.features import Registry, Source
from tael_risk.limits import DatedAmount, ExposureCap, GradeLimit, LimitRules, RiskFactor
from tael_risk.policies import (
    FailMode,
    Grade,
    Policy,
    Refusal,
    Result,
    Rule,
    SourceRules,
    Stage,
    Step,
)
from tael_risk.policy_checks import check_policy
from tael_risk.prices import DatedRate, GradePrice, PriceRules
from tael_risk.reasons import CustomerReason
from tael_risk.scorecards import Bin, Characteristic, Scale, Scorecard


def policy_faults(document: str, registry: Registry) -> tuple[Fault, ...]:
    """Everything wrong with a policy document; empty where it may be published."""
    try:
        read_policy(document, registry)
    except DocumentInvalid as invalid:
        return invalid.faults
    return ()


def read_policy(document: str, registry: Registry) -> Policy:
    """A policy from its JSON document. Raises DocumentInvalid with every fault.

    A document of the wrong shape is refused for its shape alone; its sense is checked after.
    """
    faults: list[Fault] = []
    value = parse_json(document, faults)
    root = Node(value, "", faults).checked()
    if value is None or faults:
        raise DocumentInvalid(faults or [Fault("$", "is null; must be an object")])
    policy = _policy(root, registry)
    if not faults:
        faults.extend(check_policy(policy, registry))
    if faults:
        raise DocumentInvalid(faults)
    return policy


def _policy(root: Node, registry: Registry) -> Policy:
    stages = root.node("stages")
    limit, price = root.node("limit"), root.node("price")
    policy = Policy(
        name=root.text("name"),
        stages={
            Stage(stage): _steps(stages, stage) for stage in stages.entries_of(map(str, Stage))
        },
        rules=tuple(_rule(node, registry) for node in root.nodes("rules")),
        sources=tuple(_source(node) for node in root.nodes("sources")),
        scorecard=_scorecard(root.node("scorecard"), registry),
        grades=tuple(_grade(node) for node in root.nodes("grades")),
        limit_refusal=_refusal(limit.node("refusal")),
        limit=_limit(limit, registry),
        price_refusal=_refusal(price.node("refusal")),
        price=_price(price),
        hash=hashlib.sha256(canonical(root.value).encode()).hexdigest(),
    )
    stages.done()
    root.done()
    return policy


def _steps(stages: Node, stage: str) -> tuple[Step, ...]:
    names = stages.items(stage)
    known = [Step(str(name)) for name in names if name in set(Step)]
    for index, name in enumerate(names):
        if name not in set(Step):
            stages.fault(f"{stage}[{index}]", f"{name!r} is no step; steps are {_words(Step)}")
    return tuple(known)


def _words(words: Iterable[str]) -> str:
    return ", ".join(map(str, words))


def _refusal(node: Node) -> Refusal:
    refusal = Refusal(
        code=node.text("code"),
        description=node.text("description"),
        result=node.choice("result", Result),
        customer_reason=node.choice("customer_reason", CustomerReason),
    )
    node.done()
    return refusal


def _rule(node: Node, registry: Registry) -> Rule:
    stages = node.items("stages")
    for index, stage in enumerate(stages):
        if stage not in set(Stage):
            node.fault(f"stages[{index}]", f"{stage!r} is no stage; stages are {_words(Stage)}")
    rule = Rule(
        code=node.text("code"),
        description=node.text("description"),
        step=node.choice("step", Step),
        stages=frozenset(Stage(str(stage)) for stage in stages if stage in set(Stage)),
        when=read_condition(node.node("when"), registry),
        result=node.choice("result", Result),
        if_unknown=node.choice("if_unknown", Result) if node.has("if_unknown") else Result.PASS,
        customer_reason=node.choice("customer_reason", CustomerReason),
    )
    node.done()
    return rule


def _source(node: Node) -> SourceRules:
    rules = SourceRules(
        source=node.choice("source", Source),
        fail_mode=node.choice("fail_mode", FailMode),
        refusal=_refusal(node.node("refusal")) if node.has("refusal") else None,
    )
    node.done()
    return rules


def _scorecard(node: Node, registry: Registry) -> Scorecard:
    scale = node.node("scale")
    card = Scorecard(
        scale=Scale(scale.decimal("base"), scale.decimal("odds"), scale.decimal("doubling")),
        characteristics=tuple(
            _characteristic(each, registry) for each in node.nodes("characteristics")
        ),
    )
    scale.done()
    node.done()
    return card


def _characteristic(node: Node, registry: Registry) -> Characteristic:
    feature = node.text("feature")
    if feature and feature not in registry:
        node.fault("feature", f"{feature} is not a feature of the registry")
    characteristic = Characteristic(
        feature=feature,
        reason_code=node.text("reason_code"),
        bins=tuple(_bin(each, feature, registry) for each in node.nodes("bins")),
    )
    node.done()
    return characteristic


def _bin(node: Node, feature: str, registry: Registry) -> Bin:
    label, points = node.text("label"), node.integer("points")
    kinds = [key for key in ("range", "values", "missing", "others") if node.has(key)]
    if len(kinds) != 1:
        node.fault("", "must have exactly one of range, values, missing and others")
        return Bin(label, points)
    definition = registry.get(feature)
    found = Bin(label, points, missing=kinds == ["missing"], others=kinds == ["others"])
    if definition and kinds == ["range"]:
        bounds = node.node("range")
        start, end = (
            literal(bounds, key, bounds.entry(key), definition.type) if bounds.has(key) else None
            for key in ("from", "below")
        )
        bounds.done()
        if isinstance(start, str) or isinstance(end, str):
            node.fault("range", f"{feature} is {definition.type}; only numbers have ranges")
        else:
            found = Bin(label, points, start=start, end=end)
    elif definition and kinds == ["values"]:
        values = frozenset(
            literal(node, f"values[{index}]", value, definition.type)
            for index, value in enumerate(node.items("values"))
        )
        found = Bin(label, points, values=values)
    node.done()
    return found


def _grade(node: Node) -> Grade:
    ceilings = node.entries("ceilings")
    for segment, amount in ceilings.items():
        if not isinstance(amount, int) or isinstance(amount, bool):
            node.fault(f"ceilings.{segment}", f"is {amount!r}; must be minor units, an integer")
    grade = Grade(
        name=node.text("grade"),
        score_from=node.integer("score_from") if node.has("score_from") else None,
        limit=GradeLimit(
            income_multiple=node.decimal("income_multiple"),
            max_debt_to_income=node.decimal("max_debt_to_income"),
            ceilings={name: each for name, each in ceilings.items() if isinstance(each, int)},
        ),
        price=_grade_price(node.node("price")) if node.has("price") else None,
    )
    node.done()
    return grade


def _grade_price(node: Node) -> GradePrice:
    price = GradePrice(
        default_probability=node.decimal("default_probability"),
        lowest_rate=node.decimal("lowest_rate"),
        rate=node.decimal("rate"),
    )
    node.done()
    return price


def _limit(node: Node, registry: Registry) -> LimitRules:
    rules = LimitRules(
        floor_to=node.integer("floor_to_minor_units"),
        caps=tuple(_cap(each) for each in node.nodes("caps")),
        loan_to_value=node.decimal("loan_to_value"),
        factors=tuple(_factor(each, registry) for each in node.nodes("factors")),
    )
    node.done()
    return rules


def _cap(node: Node) -> ExposureCap:
    cap = ExposureCap(
        node.text("name"),
        tuple(
            DatedAmount(
                value.day("effective_from"), value.integer("minor_units"), value.text("source")
            )
            for value in node.nodes("values")
        ),
    )
    node.done()
    return cap


def _factor(node: Node, registry: Registry) -> RiskFactor:
    factor = RiskFactor(
        code=node.text("code"),
        description=node.text("description"),
        when=read_condition(node.node("when"), registry),
        factor=node.decimal("factor"),
    )
    node.done()
    return factor


def _price(node: Node) -> PriceRules:
    rules = PriceRules(
        funding=node.decimal("funding"),
        operations=node.decimal("operations"),
        loss_given_default=node.decimal("loss_given_default"),
        capital=node.decimal("capital"),
        cost_caps=tuple(
            DatedRate(cap.day("effective_from"), cap.decimal("rate"), cap.text("source"))
            for cap in node.nodes("cost_caps")
        ),
    )
    node.done()
    return rules
