"""`tael demo`: one loan's whole life, told through the real services."""

from tael_cli.demo.story import run

__all__ = ["run"]
