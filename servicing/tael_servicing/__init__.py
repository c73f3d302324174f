"""Servicing: products, credit lines, loans, repayments, end of day."""
