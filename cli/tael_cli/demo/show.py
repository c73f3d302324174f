"""How the demo prints: acts, calls, schedules, vouchers, lines, cases."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from tael.collections.v1 import collections_pb2
from tael.ledger.v1 import ledger_pb2
from tael.origination.v1 import contract_pb2
from tael.risk.v1 import decision_pb2
from tael.servicing.v1 import credit_line_pb2, loan_pb2
from tael_client.values import to_date, to_decimal, yuan

MARKS = {
    decision_pb2.STEP_RESULT_PASS: "✓",
    decision_pb2.STEP_RESULT_REVIEW: "?",
    decision_pb2.STEP_RESULT_REJECT: "✗",
}
MEMO = "7"
"""GL codes that begin with it are off balance: 收 and 付 instead of 借 and 贷."""
CONTRA = "7999"
"""The other side of every off-balance line: not shown, as single entry is the custom."""


class Stage:
    """The console with the story's forms."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._names: dict[str, str] = {}

    def name(self, identity: str, name: str) -> None:
        """What to call a loan, line or customer from here on."""
        self._names[identity] = name

    def _called(self, identity: str) -> str:
        """Its name in the story; else its prefix and last six digits."""
        return self._names.get(identity) or f"…{identity[-6:]}"

    def act(self, title: str) -> None:
        """Begins a part of the story."""
        self.console.print()
        self.console.print(Rule(f"[bold]{title}[/bold]", align="left"))

    def call(self, caller: str, rpc: str, result: str = "") -> None:
        """Who called what, and what came of it."""
        arrow = f" → {result}" if result else ""
        self.console.print(f"[cyan]{caller}[/cyan] {rpc}{arrow}", highlight=False)

    def say(self, text: str) -> None:
        """A sentence of the story."""
        self.console.print(text, highlight=False)

    def schedule(self, rows: Iterable[loan_pb2.Instalment], title: str) -> None:
        """A repayment schedule with its sums."""
        table = Table(title=title, title_justify="left")
        for name in ("#", "due", "instalment", "principal 本金", "interest 利息", "balance 余额"):
            table.add_column(name, justify="left" if name == "due" else "right")
        principal = interest = 0
        for row in rows:
            principal += row.principal
            interest += row.interest
            table.add_row(
                str(row.number),
                str(to_date(row.due_date)),
                yuan(row.principal + row.interest),
                yuan(row.principal),
                yuan(row.interest),
                yuan(row.balance_after),
            )
        table.add_section()
        table.add_row("Σ", "", yuan(principal + interest), yuan(principal), yuan(interest), "")
        self.console.print(table)

    def voucher(self, entry: ledger_pb2.Entry) -> None:
        """One entry as a voucher: 借/贷 on balance, 收/付 off balance."""
        head = f"voucher {entry.sequence}  {entry.event}  value {to_date(entry.value_date)}"
        if entry.reversal_of:
            head += f"  red ink, reverses {entry.reversal_of}"
        self.console.print(f"[bold]{head}[/bold]", highlight=False)
        table = Table(show_edge=False)
        table.add_column("")
        table.add_column("account 科目", min_width=72, no_wrap=True)
        table.add_column("借 Dr", justify="right", min_width=11)
        table.add_column("贷 Cr", justify="right", min_width=11)
        for line in sorted(entry.lines, key=_voucher_order):
            if not line.account_number.startswith(CONTRA):
                table.add_row(*self._voucher_row(line))
        self.console.print(table)
        self.console.print()

    def _voucher_row(self, line: ledger_pb2.Line) -> tuple[str, str, str, str]:
        code, *owner = line.account_number.split(":")
        debit = line.side == ledger_pb2.SIDE_DEBIT
        mark = ("收" if debit else "付") if code.startswith(MEMO) else ("借" if debit else "贷")
        whose = f" · {self._called(owner[-1])}" if owner else ""
        amount = yuan(line.amount)
        name = f"{code} {line.account_name}{whose}"
        return (mark, name, amount if debit else "", "" if debit else amount)

    def line(self, line: credit_line_pb2.CreditLine) -> None:
        """A credit line in one row."""
        self.say(
            f"   line of {self._called(line.customer_id)}: limit {yuan(line.limit.minor_units)}, "
            f"used {yuan(line.used.minor_units)}, reserved {yuan(line.reserved.minor_units)}, "
            f"available {yuan(line.available.minor_units)}"
        )

    def decision(self, answer: decision_pb2.ExplainDecisionResponse) -> None:
        """A decision, step by step, and what the rules that fired say."""
        decision = answer.decision
        steps = []
        for step in decision.steps:
            reasons = " ".join(["", *step.reason_codes])
            steps.append(f"{step.step} {MARKS[step.result]}{reasons}")
        self.say(f"   {decision.policy_version}: {', '.join(steps)}")
        for rule in answer.rules:
            read = ", ".join(f"{name} = {value}" for name, value in sorted(rule.inputs.items()))
            self.say(f"   {rule.code} holds that {rule.description}; {read}")
        if decision.score:
            self.say(
                f"   score {decision.score}, grade {decision.grade}, "
                f"limit {yuan(decision.limit.minor_units)}, rate {decision.annual_rate.value}"
            )

    def cost_table(self, contract: contract_pb2.Contract) -> None:
        """综合融资成本明示表: everything the borrower may be charged."""
        apr = to_decimal(contract.apr) * 100
        table = Table(
            title=f"综合融资成本明示表 cost table: {apr:.2f} % a year, all in", title_justify="left"
        )
        for name in ("item", "how it is charged", "by whom", "when"):
            table.add_column(name)
        table.add_column("amount", justify="right")
        for row in contract.cost_table:
            when = "only if it happens" if row.contingent else "in normal performance"
            amount = "" if row.contingent else yuan(row.amount)
            table.add_row(row.name, row.basis, row.charged_by, when, amount)
        self.console.print(table)

    def case(self, case: collections_pb2.Case) -> None:
        """A case in one row."""
        bucket = collections_pb2.Bucket.Name(case.bucket).removeprefix("BUCKET_")
        status = collections_pb2.CaseStatus.Name(case.status).removeprefix("CASE_STATUS_")
        dpd = max((loan.dpd for loan in case.loans), default=0)
        self.say(
            f"   case of {self._called(case.customer_id)}: {bucket}, DPD {dpd}, {status}, "
            f"{yuan(case.amount_past_due.minor_units)} past due"
            + (f", collector {case.collector}" if case.collector else "")
        )


def _voucher_order(line: ledger_pb2.Line) -> tuple[bool, bool, str]:
    """On balance before off balance, debits before credits, then by account."""
    memo = line.account_number.startswith(MEMO)
    return (memo, line.side != ledger_pb2.SIDE_DEBIT, line.account_number)
