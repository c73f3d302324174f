"""Loan arithmetic: schedules, accrual, allocation and the fold of a loan's events.

Integers, Decimal and Fraction only; no store, no network, no clock. Amounts are minor units.
"""
