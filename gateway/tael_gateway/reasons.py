"""Why the bridge itself refuses; the services' own refusals pass through unchanged."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """The bridge's reasons."""

    METHOD_NOT_ALLOWED = "The path exists for other HTTP methods; the header Allow lists them."
    BODY_TOO_LARGE = "The request body is over the limit; the message says how much is allowed."
    NOT_JSON = "The request body must be JSON, sent with content-type application/json."
