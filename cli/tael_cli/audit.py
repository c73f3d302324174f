"""`tael audit`: the books prove themselves, and servicing's balances equal the ledger's."""

from __future__ import annotations

import re
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.table import Table

from tael.ledger.v1 import (
    accounting_pb2,
    accounting_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    proof_pb2,
    proof_pb2_grpc,
)
from tael.servicing.v1 import loan_pb2, loan_pb2_grpc
from tael_cli.services import Services
from tael_client.values import yuan

BUCKETS = {
    "principal_normal": "1303.01",
    "principal_overdue": "1303.02",
    "principal_impaired": "1303.03",
    "interest_accrued": "1132.01",
    "interest_due": "1132.02",
    "penalty": "1132.03",
    "compound": "1132.04",
    "offbalance_interest": "7001",
    "offbalance_penalty": "7002",
    "offbalance_compound": "7003",
    "claimed_principal": "7103",
    "written_off_principal": "7101",
    "written_off_interest": "7102",
}
"""LoanBalances field → the GL code of its control account."""


MOST = 2**63 - 1
"""The greatest sequence there can be."""


def read_anchor(text: str) -> ledger_pb2.Anchor:
    """ "7:<64 hexadecimal digits>" as an audit prints it. Raises typer.BadParameter."""
    sequence, colon, digest = text.strip().partition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} is no SEQUENCE:DIGEST")
    if not re.fullmatch(r"[0-9]+", sequence) or int(sequence) > MOST:
        raise typer.BadParameter(f"{sequence!r} is no sequence of an entry")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise typer.BadParameter(
            f"a digest is 64 hexadecimal digits, {digest!r} ({len(digest)} characters) is not"
        )
    return ledger_pb2.Anchor(sequence=int(sequence), digest=bytes.fromhex(digest))


def anchor_text(anchor: ledger_pb2.Anchor | ledger_pb2.Head) -> str:
    """What `read_anchor` reads."""
    return f"{anchor.sequence}:{anchor.digest.hex()}"


def run(
    services: Services, console: Console, book: str, anchor: ledger_pb2.Anchor | None = None
) -> bool:
    """Prints findings, the summary, the trial balance; True when everything is sound."""
    sound = prove(services, console, book, anchor)
    print_trial_balance(services, console, book)
    differences = list(compare_subledger(services, book))
    for line in differences:
        console.print(f"[red]{line}[/red]")
    if not differences:
        console.print("servicing's balances equal the ledger's control accounts, loan by loan")
    return sound and not differences


def prove(
    services: Services, console: Console, book: str, anchor: ledger_pb2.Anchor | None
) -> bool:
    """Streams the ledger's proof of itself, that its chain passes through an anchor included; its
    head is the anchor for the next time."""
    stub = services.stub("ledger", proof_pb2_grpc.ProofServiceStub)
    summary = proof_pb2.ProofSummary()
    checks = set()
    for part in stub.Prove(proof_pb2.ProveRequest(book_id=book, anchor=anchor)):
        if part.HasField("finding"):
            finding = part.finding
            checks.add(finding.check)
            name = proof_pb2.Check.Name(finding.check)
            console.print(f"[red]{name}[/red] {finding.subject}: {finding.message}")
        else:
            summary = part.summary
    console.print(
        f"proof: {summary.entries:,} entries, {summary.lines:,} lines, "
        f"{summary.accounts:,} accounts, {summary.batches:,} links of the chain; "
        f"{summary.findings} findings"
    )
    if anchor and proof_pb2.CHECK_ANCHOR not in checks:
        console.print(f"the chain passes through {anchor_text(anchor)}", soft_wrap=True)
    console.print(f"head: {anchor_text(summary.head)}", soft_wrap=True)
    return summary.findings == 0


def print_trial_balance(services: Services, console: Console, book: str) -> None:
    """Turnover and balance by GL code."""
    stub = services.stub("ledger", accounting_pb2_grpc.AccountingServiceStub)
    answer = stub.TrialBalance(accounting_pb2.TrialBalanceRequest(book_id=book))
    table = Table(title="Trial balance 试算平衡表", title_justify="left")
    table.add_column("code")
    table.add_column("account 科目")
    for name in ("debits 借", "credits 贷", "balance 余额"):
        table.add_column(name, justify="right")
    table.add_column("side")
    for row in answer.rows:
        side = "借" if row.account.normal_side == ledger_pb2.SIDE_DEBIT else "贷"
        table.add_row(
            row.account.code,
            f"{row.account.name} {row.account.english_name}",
            yuan(row.debits),
            yuan(row.credits),
            yuan(row.balance),
            side,
        )
    table.add_section()
    table.add_row("", "Σ", yuan(answer.total_debits), yuan(answer.total_credits), "", "")
    console.print(table)
    difference = answer.total_debits - answer.total_credits
    console.print(f"Σ debits − Σ credits = {yuan(difference)}")


def list_loans(services: Services, book: str) -> Iterator[loan_pb2.Loan]:
    """Every loan of a book."""
    stub = services.stub("servicing", loan_pb2_grpc.LoanServiceStub)
    token = ""
    while True:
        page = stub.ListLoans(loan_pb2.ListLoansRequest(page_size=500, page_token=token))
        yield from (loan for loan in page.loans if loan.book_id == book)
        token = page.next_page_token
        if not token:
            return


def compare_subledger(services: Services, book: str) -> Iterator[str]:
    """Each loan's balances against the ledger's accounts, and their sums against the control
    accounts; a line a difference.
    """
    ledger = services.stub("ledger", ledger_pb2_grpc.LedgerServiceStub)
    sums = dict.fromkeys(BUCKETS.values(), 0)
    for loan in list_loans(services, book):
        numbers = [f"{code}:LOAN:{loan.loan_id}" for code in BUCKETS.values()]
        request = ledger_pb2.GetBalancesRequest(book_id=book, account_numbers=numbers)
        balances = ledger.GetBalances(request).balances
        for field, theirs in zip(BUCKETS, balances, strict=True):
            ours: int = getattr(loan.balances, field)
            sums[BUCKETS[field]] += ours
            if ours != theirs.balance:
                yield (
                    f"loan {loan.loan_id} {field}: servicing {yuan(ours)}, "
                    f"ledger {yuan(theirs.balance)}"
                )
    accounting = services.stub("ledger", accounting_pb2_grpc.AccountingServiceStub)
    rows = accounting.TrialBalance(accounting_pb2.TrialBalanceRequest(book_id=book)).rows
    control = {row.account.code: row.balance for row in rows}
    for code, ours in sums.items():
        if ours != control.get(code, 0):
            yield (
                f"control account {code}: servicing's loans {yuan(ours)}, "
                f"ledger {yuan(control.get(code, 0))}"
            )
