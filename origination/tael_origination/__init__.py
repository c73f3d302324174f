"""Customers, consents, applications, contracts, archive, drawdowns: a loan before it is one."""
