"""make docs: writes the pages that come from code. A test holds them against it."""

from __future__ import annotations

import importlib
from pathlib import Path

from tael_ledger.documentation import posting_rules_page
from tael_runtime.errors import Reason, ReasonEnum

HERE = Path(__file__).resolve().parent
SERVICES = ("ledger", "servicing", "risk", "origination", "collections", "simulators", "gateway")


def errors() -> str:
    """docs/errors.md: every reason of google.rpc.ErrorInfo, by domain."""
    lines = [
        "# Reasons",
        "",
        "Every refusal carries `google.rpc.ErrorInfo` with a reason and a domain, and with it the",
        "details that fit: `BadRequest`, `PreconditionFailure`, `ResourceInfo`, `RequestInfo` (the",
        "trace id to look for in the logs). Generated from the code by `make docs`.",
        "",
        "## Any service",
        "",
        *_table(Reason),
    ]
    for name in SERVICES:
        module = importlib.import_module(f"tael_{name}.reasons")
        lines += ["", f"## tael.{name}", "", *_table(module.Reason)]
    return "\n".join(lines) + "\n"


def _table(reasons: type[ReasonEnum]) -> list[str]:
    rows = [f"| `{reason.name}` | {reason.value} |" for reason in reasons]
    return ["| reason | meaning |", "|---|---|", *rows]


PAGES = {"errors.md": errors, "posting-rules.md": posting_rules_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
