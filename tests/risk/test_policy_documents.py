"""Policy documents: what is shipped is sound, and every fault is told where and why."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tael_risk.documents import DocumentInvalid
from tael_risk.features import shipped_registry
from tael_risk.policies import STEP_ORDER, document_hash, shipped_policy
from tael_risk.policy_documents import policy_faults, read_policy

REGISTRY = shipped_registry()
SHIPPED: dict[str, Any] = json.loads(shipped_policy())
Change = Callable[[dict[str, Any]], object]


def faults_after(change: Change) -> list[tuple[str, str]]:
    document = copy.deepcopy(SHIPPED)
    change(document)
    text = json.dumps(document)
    return [(fault.path, fault.message) for fault in policy_faults(text, REGISTRY)]


def rule_index(code: str) -> int:
    return next(index for index, rule in enumerate(SHIPPED["rules"]) if rule["code"] == code)


F001, S001, D001 = rule_index("F001"), rule_index("S001"), rule_index("D001")


def bins(document: dict[str, Any], characteristic: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["scorecard"]["characteristics"][characteristic]["bins"]
    return found


BINS = "scorecard.characteristics[0].bins"
SENSE: list[tuple[Change, str, str]] = [
    (
        lambda d: d["rules"][F001].update(code="F999"),
        f"rules[{F001}].code",
        "F999 is not a known reason code",
    ),
    (
        lambda d: d["rules"][F001].update(result="PASS"),
        f"rules[{F001}].result",
        "a rule that can only PASS has no effect; remove it",
    ),
    (
        lambda d: d["rules"][F001]["when"].update(feature="bureau.now.accounts"),
        f"rules[{F001}].when",
        "bureau.now.accounts is not known before EXTERNAL; ANTI_FRAUD comes earlier",
    ),
    (
        lambda d: d["rules"][F001]["when"].update(feature="decision.now.score"),
        f"rules[{F001}].when",
        "decision.now.score is not known before SCORE; ANTI_FRAUD comes earlier",
    ),
    (
        lambda d: d["rules"][S001].update(
            when={
                "all": [
                    {"feature": "decision.now.score", "operator": "<", "value": 500},
                    {"feature": "decision.now.score", "operator": ">", "value": 600},
                ]
            }
        ),
        f"rules[{S001}].when",
        "can never hold; the rule is unreachable",
    ),
    (
        lambda d: d["rules"][F001].update(stages=[]),
        f"rules[{F001}].stages",
        "is empty; the rule is unreachable",
    ),
    (
        lambda d: d["rules"].append(d["rules"][D001]),
        f"rules[{len(SHIPPED['rules'])}].when",
        f"repeats rules[{D001}] at DRAWDOWN; remove one",
    ),
    (
        lambda d: d["rules"][S001].update(step="LIMIT"),
        f"rules[{S001}].step",
        "DRAWDOWN has no step LIMIT; the rule is unreachable",
    ),
    (
        lambda d: d["stages"].update(
            DRAWDOWN=["ANTI_FRAUD", "ADMISSION", *d["stages"]["DRAWDOWN"][2:]]
        ),
        "stages.DRAWDOWN",
        f"ADMISSION may not follow ANTI_FRAUD; the order is {', '.join(STEP_ORDER)}",
    ),
    (
        lambda d: d["stages"]["APPLICATION"].pop(),
        "stages.APPLICATION",
        "lacks PRICE; it takes every step",
    ),
    (
        lambda d: d["stages"]["DRAWDOWN"].append("PRICE"),
        "stages.DRAWDOWN",
        "PRICE needs LIMIT before it",
    ),
    (
        lambda d: d["sources"][0].update(source="DEVICE"),
        "sources[0].source",
        "DEVICE is no outside source",
    ),
    (
        lambda d: d["sources"][0].pop("refusal"),
        "sources[0].refusal",
        "is given with FAIL_CLOSED, and only with it",
    ),
    (
        lambda d: d["sources"].pop(),
        "scorecard.characteristics[0].feature",
        "bureau.3m.queries comes from BUREAU, which sources does not list",
    ),
    (lambda d: bins(d)[1]["range"].update({"from": 1}), BINS, '"0–1" and "2–3" overlap'),
    (lambda d: bins(d)[1]["range"].update({"from": 3}), BINS, 'gap between "0–1" and "2–3"'),
    (
        lambda d: bins(d)[0]["range"].update({"from": 0}),
        BINS,
        '"0–1" begins at 0; leave its from out',
    ),
    (
        lambda d: bins(d)[3]["range"].update({"below": 50}),
        BINS,
        '"7+" ends at 50; leave its below out',
    ),
    (
        lambda d: bins(d).pop(),
        BINS,
        "bureau.3m.queries can be missing; add a bin with missing: true",
    ),
    (
        lambda d: d["grades"][1].update(score_from=640),
        "grades[0].score_from",
        "must be above that of the grade below it",
    ),
    (
        lambda d: d["grades"].pop(),
        "grades",
        "the last grade takes every lower score: leave its score_from out",
    ),
    (
        lambda d: d["grades"][3]["price"].update(rate="0.08", lowest_rate="0.08"),
        "grades[3].price.rate",
        "0.08 is below the loan's cost 0.08100 (funding + operations + PD·LGD + capital)",
    ),
    (
        lambda d: d["grades"][5].update(income_multiple="1"),
        "grades[5].price",
        'is missing; a grade without price lends nothing: set "0"',
    ),
    (
        lambda d: d["limit"].update(floor_to_minor_units=0),
        "limit.floor_to_minor_units",
        "must be positive",
    ),
    (
        lambda d: d["limit"]["factors"][0].update(factor="1.5"),
        "limit.factors[0].factor",
        'must be from "0" to "1": a factor only cuts',
    ),
    (
        lambda d: d["limit"]["caps"][0].update(values=[]),
        "limit.caps[0].values",
        "needs one value, and one only, a day",
    ),
    (
        lambda d: d["price"]["refusal"].update(result="PASS"),
        "price.refusal.result",
        "must be REVIEW or REJECT",
    ),
    (
        lambda d: d["price"].update(cost_caps=[]),
        "price.cost_caps",
        "needs one rate, and one only, a day",
    ),
]

SHAPE: list[tuple[Change, str, str]] = [
    (lambda d: d.pop("name"), "name", "is missing; must be a text"),
    (
        lambda d: d["rules"][F001].update(resutl="REJECT"),
        f"rules[{F001}].resutl",
        f"unknown; this object takes {', '.join(sorted([*SHIPPED['rules'][0]]))}",
    ),
    (
        lambda d: d["rules"][F001].update(result="DENY"),
        f"rules[{F001}].result",
        'is "DENY"; must be one of PASS, REVIEW, REJECT',
    ),
    (
        lambda d: d["rules"][F001].update(stages=["BIRTH"]),
        f"rules[{F001}].stages[0]",
        "'BIRTH' is no stage; stages are APPLICATION, DRAWDOWN",
    ),
    (
        lambda d: d["rules"][F001].update(when=7),
        f"rules[{F001}].when",
        "is 7; must be an object",
    ),
    (
        lambda d: d["grades"][0]["price"].update(rate=1),
        "grades[0].price.rate",
        'is 1; must be a decimal in quotes, such as "0.12"',
    ),
    (
        lambda d: d["grades"][0]["ceilings"].update(STANDARD="much"),
        "grades[0].ceilings.STANDARD",
        "is 'much'; must be minor units, an integer",
    ),
    (
        lambda d: bins(d)[0].update(missing=True),
        "scorecard.characteristics[0].bins[0]",
        "must have exactly one of range, values, missing and others",
    ),
    (
        lambda d: d["limit"]["caps"][0]["values"][0].update(effective_from="soon"),
        "limit.caps[0].values[0].effective_from",
        'is "soon"; must be a date, YYYY-MM-DD',
    ),
]


def test_the_shipped_policy_is_sound() -> None:
    assert policy_faults(shipped_policy(), REGISTRY) == ()


@pytest.mark.parametrize(("change", "path", "message"), [*SENSE, *SHAPE])
def test_a_fault_is_told_where_and_why(change: Change, path: str, message: str) -> None:
    assert (path, message) in faults_after(change)


def test_every_fault_is_told_at_once() -> None:
    def change(document: dict[str, Any]) -> None:
        document["rules"][F001]["code"] = "F999"
        document["limit"]["floor_to_minor_units"] = 0

    assert len(faults_after(change)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("null", "must be an object"),
        ('{"name": 0.5}', '0.5 is a binary fraction; write "0.5" in quotes'),
        ('{"name": NaN}', "NaN is a binary fraction"),
        ('{"name": "a", "name": "b"}', "given twice in one object: name"),
    ],
)
def test_what_is_no_json_object_is_refused(text: str, message: str) -> None:
    assert any(message in fault.message for fault in policy_faults(text, REGISTRY))


def test_a_faulty_document_makes_no_policy() -> None:
    with pytest.raises(DocumentInvalid, match=r"\$: not JSON"):
        read_policy("", REGISTRY)


def test_the_hash_is_of_what_is_said_and_not_of_how_it_is_spaced() -> None:
    spaced = json.dumps(dict(reversed(SHIPPED.items())), indent=3)
    assert document_hash(spaced) == document_hash(shipped_policy())
    assert read_policy(spaced, REGISTRY).hash == document_hash(shipped_policy())
    assert document_hash(json.dumps({**SHIPPED, "name": "other"})) != document_hash(spaced)
