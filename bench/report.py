"""A bench's outcome: a table of figures with their baselines, ratios and targets, on the terminal."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

WORDS = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}
LOAD_BEFORE = os.getloadavg()[0]
console = Console(width=None if os.isatty(1) else 132, highlight=False)


@dataclass(frozen=True)
class Figure:
    """One row of the table. Texts carry their units."""

    name: str
    value: str
    baseline: str = ""
    """Measured in the same run."""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    """Whether the target is met; None where there is none."""


def show(
    title: str, figures: Sequence[Figure], notes: Sequence[str] = (), *, quick: bool = False
) -> int:
    """Prints the figures and what is to be known about them; the exit status.

    1 where a target is missed. Quick sizes are too small to judge by.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("figure")
    for name in ("measured", "baseline", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("target")
    table.add_column("met")
    for figure in figures:
        table.add_row(
            figure.name,
            figure.value,
            figure.baseline,
            "" if figure.ratio is None else f"{figure.ratio:.2f} ×",
            figure.target,
            "" if quick else WORDS[figure.met],
        )
    console.print(table)
    for note in (*notes, _machine()):
        console.print(f"  {note}")
    return int(not quick and any(figure.met is False for figure in figures))


def say(text: str) -> None:
    """One line about what goes on."""
    console.print(f"[dim]{text}[/]")


def rate(per_second: float) -> str:
    """1234.5 -> "1,234/s"."""
    return f"{per_second:,.0f}/s"


def milliseconds(seconds: float) -> str:
    """0.0123 -> "12.3 ms"."""
    return f"{seconds * 1000:,.1f} ms"


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        f"load average before {LOAD_BEFORE:.1f}"
    )
