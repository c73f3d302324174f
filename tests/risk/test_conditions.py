"""Conditions: three-valued logic, checked against a plain interpreter, and unreachable ones."""

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_risk.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Not,
    Operator,
    Truth,
    compile_conditions,
    features_read,
    never_holds,
    read_condition,
)
from tael_risk.documents import Fault, Node
from tael_risk.features import FeatureValues, shipped_registry

NAMES = ["a.now.x", "b.now.y", "c.now.z"]
PLAIN: dict[Operator, Callable[[object, object], bool]] = {
    Operator.LESS: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.MORE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.IN: lambda value, values: value in values,  # type: ignore[operator]  sets of ints
    Operator.NOT_IN: lambda value, values: value not in values,  # type: ignore[operator]  same
}


def interpret(condition: Condition, values: FeatureValues) -> bool | None:
    """Kleene's truth of a condition, step by step."""
    match condition:
        case Comparison(feature, Operator.MISSING, _, _):
            return values.get(feature) is None
        case Comparison(feature, asked, operand, than):
            left, right = values.get(feature), values.get(than) if than else operand
            return None if left is None or right is None else PLAIN[asked](left, right)
        case AllOf(parts):
            truths = [interpret(part, values) for part in parts]
            return False if False in truths else None if None in truths else True
        case AnyOf(parts):
            truths = [interpret(part, values) for part in parts]
            return True if True in truths else None if None in truths else False
        case Not(part):
            truth = interpret(part, values)
            return None if truth is None else not truth


numbers = st.integers(0, 5)
plain_operators = st.sampled_from(list(Operator)[:6])
comparisons = (
    st.builds(Comparison, st.sampled_from(NAMES), plain_operators, numbers, st.just(""))
    | st.builds(
        Comparison,
        st.sampled_from(NAMES),
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.frozensets(numbers, min_size=1),
        st.just(""),
    )
    | st.builds(
        Comparison, st.sampled_from(NAMES), plain_operators, st.none(), st.sampled_from(NAMES)
    )
    | st.builds(
        Comparison, st.sampled_from(NAMES), st.just(Operator.MISSING), st.none(), st.just("")
    )
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=12,
)
assignments = st.fixed_dictionaries({name: numbers | st.none() for name in NAMES})
TRUTHS = {True: Truth.TRUE, False: Truth.FALSE, None: Truth.UNKNOWN}


@given(st.lists(conditions, max_size=4), assignments)
def test_compiled_conditions_agree_with_the_plain_interpreter(
    table: list[Condition], values: FeatureValues
) -> None:
    decided = compile_conditions(table)(values)
    assert decided == tuple(TRUTHS[interpret(each, values)] for each in table)


@given(conditions, assignments)
def test_what_can_never_hold_never_does(condition: Condition, values: FeatureValues) -> None:
    if never_holds(condition):
        assert interpret(condition, values) is not True


@given(conditions, assignments, numbers)
def test_a_feature_that_is_not_read_changes_nothing(
    condition: Condition, values: dict[str, int | None], other: int
) -> None:
    changed = {
        name: value if name in features_read(condition) else other for name, value in values.items()
    }
    decide = compile_conditions([condition])
    assert decide(values) == decide(changed)


def age(asked: Operator, value: int) -> Comparison:
    return Comparison("applicant.now.age", asked, value, "")


@pytest.mark.parametrize(
    "parts",
    [
        (age(Operator.LESS, 18), age(Operator.MORE, 60)),
        (age(Operator.LESS, 18), age(Operator.AT_LEAST, 18)),
        (age(Operator.EQUAL, 18), age(Operator.EQUAL, 19)),
        (age(Operator.EQUAL, 18), age(Operator.NOT_EQUAL, 18)),
        (
            age(Operator.LESS, 18),
            Comparison("applicant.now.age", Operator.MISSING, None, ""),
        ),
    ],
)
def test_contradictions_are_seen(parts: tuple[Condition, ...]) -> None:
    assert never_holds(AllOf(parts))
    assert never_holds(AnyOf((AllOf(parts), AllOf(parts))))
    assert not never_holds(AnyOf(parts))


def test_a_point_between_two_bounds_is_no_contradiction() -> None:
    assert not never_holds(AllOf((age(Operator.AT_MOST, 18), age(Operator.AT_LEAST, 18))))


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        (
            {"feature": "applicant.now.hight", "operator": "<", "value": 1},
            "when.feature",
            "applicant.now.hight is not a feature of the registry",
        ),
        (
            {"feature": "applicant.now.age", "operator": "<", "value": "22"},
            "when.value",
            "is '22'; must be an integer",
        ),
        (
            {"feature": "applicant.now.age", "operator": "<", "value": True},
            "when.value",
            "is True; must be an integer",
        ),
        (
            {"feature": "product.now.cost_cap", "operator": "<", "value": "cheap"},
            "when.value",
            '"cheap" is not a decimal',
        ),
        (
            {"feature": "request.now.purpose", "operator": "<", "value": "A"},
            "when.operator",
            "< compares numbers; request.now.purpose is TEXT",
        ),
        (
            {"feature": "request.now.purpose", "operator": "in", "value": []},
            "when.value",
            "is empty; in needs at least one value",
        ),
        (
            {"feature": "applicant.now.age", "operator": "~", "value": 1},
            "when.operator",
            'is "~"; must be one of <, <=, >, >=, ==, !=, in, not in, missing',
        ),
        (
            {"feature": "applicant.now.age", "operator": "<", "than": "request.now.purpose"},
            "when.than",
            "request.now.purpose is TEXT; applicant.now.age is INTEGER",
        ),
        (
            {"feature": "applicant.now.age", "operator": "<", "valeu": 1, "value": 1},
            "when.valeu",
            "unknown; this object takes all, any, feature, not, operator, than, value",
        ),
        ({"all": []}, "when.all", "is empty; name at least one condition"),
    ],
)
def test_a_bad_condition_is_told_where_and_why(
    document: dict[str, object], path: str, message: str
) -> None:
    faults: list[Fault] = []
    read_condition(Node(document, "when", faults), shipped_registry())
    assert faults == [Fault(path, message)]
