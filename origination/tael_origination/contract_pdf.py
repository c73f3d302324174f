"""What is set on paper: approval notice, credit contract with its cost table, drawdown agreement.

Pure: the same content gives the same bytes. Chinese needs no font file: STSong-Light is one of the
fonts every PDF viewer brings for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from tael_client.values import yuan

LENDER = "泰尔银行 Tael Bank"
FONT = "STSong-Light"
pdfmetrics.registerFont(UnicodeCIDFont(FONT))

TITLE = ParagraphStyle("title", fontName=FONT, fontSize=17, leading=24, alignment=1)
HEADING = ParagraphStyle("heading", fontName=FONT, fontSize=12, leading=18, spaceBefore=8)
BODY = ParagraphStyle("body", fontName=FONT, fontSize=10, leading=15)
CELL = ParagraphStyle("cell", fontName=FONT, fontSize=9, leading=12)

Row = Sequence[str]


@dataclass(frozen=True)
class Borrower:
    """Whom it is agreed with, in clear."""

    name: str = field(repr=False)
    id_number: str = field(repr=False)


@dataclass(frozen=True)
class ApprovalTerms:
    """What was approved."""

    application_id: str
    limit: int
    """Minor units, as every amount here."""
    currency: str
    rate: Decimal
    """Annual."""
    periods: int
    purpose: str
    approved_on: date
    line_id: str


@dataclass(frozen=True)
class CreditTerms:
    """What a credit contract agrees."""

    contract_id: str
    limit: int
    currency: str
    rate: Decimal
    apr: Decimal
    periods: int
    purpose: str
    valid_to: date


@dataclass(frozen=True)
class DrawdownTerms:
    """What a drawdown agreement agrees."""

    drawdown_id: str
    contract_id: str
    amount: int
    currency: str
    rate: Decimal
    apr: Decimal
    masked_card: str


def approval_notice(terms: ApprovalTerms, borrower: Borrower) -> bytes:
    """批复: the limit and rate approved, as a PDF."""
    rows = [
        ("申请编号 Application", terms.application_id),
        ("借款人 Borrower", borrower.name),
        ("批准额度 Limit", _amount(terms.limit, terms.currency)),
        ("年利率 Annual rate", _percent(terms.rate)),
        ("期限 Months", str(terms.periods)),
        ("用途 Purpose", terms.purpose),
        ("批准日 Approved on", terms.approved_on.isoformat()),
        ("额度编号 Credit line", terms.line_id),
    ]
    return _set("授信批复 Approval notice", [_facts(rows)])


def credit_contract(
    terms: CreditTerms, borrower: Borrower, cost_table: Sequence[Mapping[str, Any]]
) -> bytes:
    """The credit contract with its cost table (金规〔2026〕2号), as a PDF to be signed."""
    rows = [
        ("合同编号 Contract", terms.contract_id),
        ("贷款人 Lender", LENDER),
        ("借款人 Borrower", borrower.name),
        ("身份证号 Identity number", borrower.id_number),
        ("授信额度 Credit limit", _amount(terms.limit, terms.currency)),
        ("年利率 Annual rate", _percent(terms.rate)),
        ("期限 Months", str(terms.periods)),
        ("用途 Purpose", terms.purpose),
        ("额度有效期至 May be drawn until", str(terms.valid_to)),
    ]
    return _set(
        "个人循环贷款合同 Revolving credit contract",
        [
            _facts(rows),
            *_cost_section(terms, cost_table),
            Paragraph("约定 Terms", HEADING),
            *(Paragraph(clause, BODY) for clause in CLAUSES),
        ],
    )


CLAUSES = (
    "1. 明示表以外不收取任何费用。Nothing outside the cost table is charged.",
    "2. 每笔支用另签支用协议，为本合同组成部分。Each drawdown has its own agreement, part of this one.",
    "3. 逾期按明示表计收罚息。What is past due bears penalty interest as the table says.",
    "4. 借款人可提前还款。The borrower may prepay at the fee the table says.",
    "5. 借款人以短信验证码确认，贷款人以数字签名签署。The borrower assents by code, the lender seals.",
)


def drawdown_agreement(
    terms: DrawdownTerms, borrower: Borrower, schedule: Sequence[Mapping[str, Any]]
) -> bytes:
    """支用协议: one drawdown with its schedule, as a PDF to be signed."""
    rows = [
        ("支用编号 Drawdown", terms.drawdown_id),
        ("所属合同 Under contract", terms.contract_id),
        ("贷款人 Lender", LENDER),
        ("借款人 Borrower", borrower.name),
        ("身份证号 Identity number", borrower.id_number),
        ("金额 Amount", _amount(terms.amount, terms.currency)),
        ("年利率 Annual rate", _percent(terms.rate)),
        ("年化综合成本 All-in annual rate", _percent(terms.apr)),
        ("收款及还款卡 Card", terms.masked_card),
    ]
    plan = [("期 No.", "到期日 Due", "本金 Principal", "利息 Interest", "合计 Total")]
    plan += [
        (
            str(row["number"]),
            str(row["due_date"]),
            yuan(row["principal"]),
            yuan(row["interest"]),
            yuan(row["principal"] + row["interest"]),
        )
        for row in schedule
    ]
    widths = [18 * mm, 38 * mm, 38 * mm, 38 * mm, 38 * mm]
    return _set(
        "支用协议 Drawdown agreement",
        [
            _facts(rows),
            Paragraph("还款计划 Schedule", HEADING),
            _grid(plan, widths, header=True),
        ],
    )


def _cost_section(terms: CreditTerms, cost_table: Sequence[Mapping[str, Any]]) -> list[Any]:
    header = ("项目 Item", "收取方式 Basis", "收取方 Charged by", "正常履约金额 Normal performance")
    rows = [header] + [
        (
            str(row["name"]),
            str(row["basis"]),
            str(row["charged_by"]),
            "或有 contingent" if row["contingent"] else yuan(row["amount"]),
        )
        for row in cost_table
    ]
    widths = [36 * mm, 64 * mm, 34 * mm, 36 * mm]
    stated = f"年化综合融资成本（单利，IRR×12）All-in annual rate (IRR × 12): {_percent(terms.apr)}"
    return [
        Paragraph("综合融资成本明示表 Cost disclosure", HEADING),
        _grid(rows, widths, header=True),
        Paragraph(stated, BODY),
    ]


def _set(title: str, story: Sequence[Any]) -> bytes:
    out = BytesIO()
    template = SimpleDocTemplate(
        out, pagesize=A4, title=title, author=LENDER, invariant=1, leftMargin=20 * mm
    )
    template.build([Paragraph(title, TITLE), Spacer(0, 6 * mm), *story])
    return out.getvalue()


def _facts(rows: Sequence[Row]) -> Table:
    return _grid(rows, [58 * mm, 112 * mm], header=False)


def _grid(rows: Sequence[Row], widths: Sequence[float], *, header: bool) -> Table:
    cells = [[Paragraph(escape(text), CELL) for text in row] for row in rows]
    table = Table(cells, colWidths=list(widths), repeatRows=int(header), hAlign="LEFT")
    style = [
        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    if header:
        style.append(("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke))
    table.setStyle(TableStyle(style))
    return table


def _amount(minor_units: int, currency: str) -> str:
    return f"{currency} {yuan(minor_units)}"


def _percent(rate: Decimal) -> str:
    return f"{rate * 100:.2f} %"
