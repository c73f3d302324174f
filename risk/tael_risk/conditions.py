"""Conditions over features: a closed language of comparisons, and / or / not.

A condition is true, false or unknown (Kleene): a comparison with a missing feature is unknown, and
a rule says what an unknown condition means for it. Conditions compile to Python expressions in
which every name is made here and every value is bound, so no text of a document is ever executed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import cast

from tael_risk.documents import Node
from tael_risk.features import FeatureType, FeatureValues, Registry, Value, parse_value


class Operator(StrEnum):
    """What a comparison asks of a feature."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    NOT_EQUAL = "!="
    IN = "in"
    NOT_IN = "not in"
    MISSING = "missing"


ORDERED = frozenset({Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST})
SETS = frozenset({Operator.IN, Operator.NOT_IN})
NUMBERS = frozenset({FeatureType.INTEGER, FeatureType.DECIMAL})


@dataclass(frozen=True)
class Comparison:
    """One feature against a value, a set of values or another feature."""

    feature: str
    operator: Operator
    operand: Value | frozenset[Value] | None
    than: str
    """The other feature; empty where compared with the operand."""


@dataclass(frozen=True)
class AllOf:
    """True where every part is."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    """True where some part is."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    """True where the part is false."""

    part: "Condition"


Condition = Comparison | AllOf | AnyOf | Not


class Truth(StrEnum):
    """Value of a condition."""

    TRUE = "TRUE"
    FALSE = "FALSE"
    UNKNOWN = "UNKNOWN"


def read_condition(node: Node, registry: Registry) -> Condition:
    """A condition from `{"feature", "operator", "value" | "than"}`, `{"all"}`, `{"any"}`, `{"not"}`."""
    condition: Condition
    if node.has("all"):
        condition = AllOf(_parts(node, "all", registry))
    elif node.has("any"):
        condition = AnyOf(_parts(node, "any", registry))
    elif node.has("not"):
        condition = Not(read_condition(node.node("not"), registry))
    else:
        condition = _comparison(node, registry)
    node.done()
    return condition


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Every comparison in a condition, in its order."""
    match condition:
        case Comparison():
            yield condition
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons(part)
        case Not(part):
            yield from comparisons(part)


def features_read(condition: Condition) -> frozenset[str]:
    """The features a condition reads."""
    found = comparisons(condition)
    return frozenset(name for each in found for name in (each.feature, each.than) if name)


def compile_conditions(
    conditions: Iterable[Condition],
) -> Callable[[FeatureValues], tuple[Truth, ...]]:
    """One Python function that gives the truth of each condition, in order."""
    scope = _Scope()
    cells = [
        f"TRUE if {scope.holds(each)} else FALSE if {scope.fails(each)} else UNKNOWN"
        for each in conditions
    ]
    body = [f"  {name} = get({feature})" for feature, name in scope.features()]
    source = "\n".join(
        [
            "def decide(values):",
            "  get = values.get",
            *body,
            f"  return ({', '.join([*cells, ''])})",
        ]
        if cells
        else ["def decide(values):", "  return ()"]
    )
    namespace: dict[str, object] = {
        **scope.constants,
        "__builtins__": {},
        "TRUE": Truth.TRUE,
        "FALSE": Truth.FALSE,
        "UNKNOWN": Truth.UNKNOWN,
    }
    exec(compile(source, "<conditions>", "exec"), namespace)  # noqa: S102  our own text, see above
    return cast("Callable[[FeatureValues], tuple[Truth, ...]]", namespace["decide"])


@dataclass
class _Scope:
    """Names for the features and constants of one compiled function."""

    constants: dict[str, object] = field(default_factory=dict)
    locals: dict[str, str] = field(default_factory=dict)

    def features(self) -> list[tuple[str, str]]:
        """(constant that holds the feature's name, local that holds its value)."""
        return [(self.constant(name), local) for name, local in self.locals.items()]

    def constant(self, value: object) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def local(self, feature: str) -> str:
        return self.locals.setdefault(feature, f"f{len(self.locals)}")

    def holds(self, condition: Condition) -> str:
        """The expression that is true exactly where the condition is."""
        match condition:
            case Comparison():
                return self._compare(condition, negated=False)
            case AllOf(parts):
                return f"({' and '.join(map(self.holds, parts))})"
            case AnyOf(parts):
                return f"({' or '.join(map(self.holds, parts))})"
            case Not(part):
                return self.fails(part)

    def fails(self, condition: Condition) -> str:
        """The expression that is true exactly where the condition is false."""
        match condition:
            case Comparison():
                return self._compare(condition, negated=True)
            case AllOf(parts):
                return f"({' or '.join(map(self.fails, parts))})"
            case AnyOf(parts):
                return f"({' and '.join(map(self.fails, parts))})"
            case Not(part):
                return self.holds(part)

    def _compare(self, comparison: Comparison, *, negated: bool) -> str:
        left = self.local(comparison.feature)
        if comparison.operator is Operator.MISSING:
            return f"({left} is {'not ' if negated else ''}None)"
        right = self.local(comparison.than) if comparison.than else ""
        known = f"{left} is not None" + (f" and {right} is not None" if right else "")
        asked = f"{left} {comparison.operator} {right or self.constant(comparison.operand)}"
        return f"({known} and {'not ' if negated else ''}{asked})"


def never_holds(condition: Condition) -> bool:
    """Whether no values at all can make it true: `age < 18 and age > 60`. Misses some, errs on none."""
    match condition:
        case AnyOf(parts):
            return all(map(never_holds, parts))
        case AllOf(parts):
            if any(map(never_holds, parts)):
                return True
            direct = [part for part in parts if isinstance(part, Comparison) and not part.than]
            names = {part.feature for part in direct}
            return any(_contradict([p for p in direct if p.feature == name]) for name in names)
        case _:
            return False


def _contradict(tests: list[Comparison]) -> bool:
    """Whether comparisons of one feature with fixed values exclude one another."""
    if any(test.operator is Operator.MISSING for test in tests):
        return any(test.operator is not Operator.MISSING for test in tests)
    for test in tests:
        allowed = _allowed(test)
        if allowed is not None:
            return not any(all(_satisfies(value, other) for other in tests) for value in allowed)
    lower = [test for test in tests if test.operator in {Operator.MORE, Operator.AT_LEAST}]
    upper = [test for test in tests if test.operator in {Operator.LESS, Operator.AT_MOST}]
    return any(
        _number(low) > _number(high)
        or (
            _number(low) == _number(high)
            and (low.operator, high.operator) != (Operator.AT_LEAST, Operator.AT_MOST)
        )
        for low in lower
        for high in upper
    )


def _allowed(test: Comparison) -> frozenset[Value] | None:
    """The few values a comparison leaves, where they can be counted."""
    if test.operator is Operator.EQUAL and test.operand is not None:
        return test.operand if isinstance(test.operand, frozenset) else frozenset({test.operand})
    if test.operator is Operator.IN and isinstance(test.operand, frozenset):
        return test.operand
    return None


def _satisfies(value: Value, test: Comparison) -> bool:
    (truth,) = compile_conditions([test])({test.feature: value})
    return truth is Truth.TRUE


def _number(test: Comparison) -> int | Decimal:
    if not isinstance(test.operand, int | Decimal):
        raise TypeError(f"{test.feature} {test.operator} compares no number")
    return test.operand


def _parts(node: Node, key: str, registry: Registry) -> tuple[Condition, ...]:
    parts = tuple(read_condition(part, registry) for part in node.nodes(key))
    if not parts:
        node.fault(key, "is empty; name at least one condition")
    return parts


def _comparison(node: Node, registry: Registry) -> Comparison:
    feature, operator = node.text("feature"), node.choice("operator", Operator)
    definition = registry.get(feature)
    if definition is None:
        if feature:
            node.fault("feature", f"{feature} is not a feature of the registry")
        node.seen |= {"value", "than"}
        return Comparison(feature, operator, None, "")
    if operator in ORDERED and definition.type not in NUMBERS:
        node.fault("operator", f"{operator} compares numbers; {feature} is {definition.type}")
    if operator is Operator.MISSING:
        return Comparison(feature, operator, None, "")
    if node.has("than"):
        return Comparison(feature, operator, None, _other(node, feature, operator, registry))
    if operator in SETS:
        items = node.items("value")
        if not items:
            node.fault("value", f"is empty; {operator} needs at least one value")
        values = [
            literal(node, f"value[{index}]", item, definition.type)
            for index, item in enumerate(items)
        ]
        return Comparison(feature, operator, frozenset(values), "")
    operand = literal(node, "value", node.entry("value"), definition.type)
    return Comparison(feature, operator, operand, "")


def literal(node: Node, key: str, found: object, kind: FeatureType) -> Value:
    """A value in a document as its feature's type: integers and booleans bare, the rest as text."""
    bare = FeatureType.BOOLEAN if isinstance(found, bool) else FeatureType.INTEGER
    if isinstance(found, int) and kind is bare:
        return found
    if isinstance(found, str) and kind in {FeatureType.TEXT, FeatureType.DECIMAL}:
        try:
            return parse_value(kind, found)
        except ValueError as error:
            node.fault(key, str(error))
            return found
    given = "is missing" if found is None else f"is {found!r}"
    written = {
        FeatureType.INTEGER: "an integer",
        FeatureType.BOOLEAN: "true or false",
        FeatureType.DECIMAL: 'a decimal in quotes, such as "0.12"',
        FeatureType.TEXT: "a text",
    }
    node.fault(key, f"{given}; must be {written[kind]}")
    return 0


def _other(node: Node, feature: str, operator: Operator, registry: Registry) -> str:
    than = node.text("than")
    other = registry.get(than)
    if other is None:
        node.fault("than", f"{than} is not a feature of the registry")
    elif operator in SETS:
        node.fault("operator", f"{operator} takes a list of values, not another feature")
    elif other.type is not registry[feature].type and not (
        other.type in NUMBERS and registry[feature].type in NUMBERS
    ):
        node.fault("than", f"{than} is {other.type}; {feature} is {registry[feature].type}")
    return than
