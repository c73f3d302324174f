"""make docs: writes the pages that come from code. A test holds them against it."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from tael_cli.main import app
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


def loan_arithmetic() -> str:
    """docs/loan-arithmetic.md as it is, with what its commands print below each of them."""
    page = (HERE / "loan-arithmetic.md").read_text()
    return re.sub(r"(?<=```console\n).*?(?=```)", _printed, page, flags=re.DOTALL)


def _printed(block: re.Match[str]) -> str:
    lines = []
    for line in block[0].splitlines():
        if line.startswith("$ "):
            shown = CliRunner().invoke(app, shlex.split(line.removeprefix("$ tael ")))
            lines += [line, *(each.rstrip() for each in shown.output.splitlines()), ""]
    return "\n".join(lines[:-1]) + "\n"


PAGES = {
    "errors.md": errors,
    "loan-arithmetic.md": loan_arithmetic,
    "posting-rules.md": posting_rules_page,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
