"""How anyone calls tael: typed stubs with deadlines, retries, request ids and credentials."""

from tael_client.connection import Connection, Credentials

__all__ = ["Connection", "Credentials"]
