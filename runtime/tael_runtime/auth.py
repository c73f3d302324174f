"""Who calls, and whether they may: bearer JWTs, a Casbin policy, loopback trust for development;
and how our own processes prove themselves to one another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import casbin
import jwt
from google.protobuf import descriptor_pool

from tael.type.v1 import four_eyes_pb2
from tael_client import Credentials
from tael_client import context as call_context
from tael_runtime.errors import PermissionDenied, Reason, Unauthenticated
from tael_runtime.settings import Settings

MODEL = """
[request_definition]
r = role, rpc
[policy_definition]
p = role, rpc
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.role == p.role && keyMatch(r.rpc, p.rpc)
"""

LOOK_AGAIN_SECONDS = 0.2
"""For so long at most the policy file is as it was read."""
SYSTEM = "service"
"""The role of a system that answers for its own second person; under loopback trust, of whoever
gives no name."""
MOST_KEPT = 4096
"""Tokens and answers kept, so that they need not be proven and asked again; then begun anew."""


def credentials(settings: Settings, caller: str = "") -> Credentials:
    """How a process with these settings proves itself; `caller` is its name under loopback trust."""
    return Credentials(
        caller=caller,
        token=settings.service_token,
        root_certificates=settings.server_roots,
        certificate=settings.tls_certificate,
        private_key=settings.tls_key,
    )


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    name: str
    roles: tuple[str, ...] = ()


class Authenticator:
    """Turns a call's metadata into a Principal."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.jwt_key
        self._algorithms = settings.jwt_algorithms
        self._proven: dict[str, tuple[Principal, float]] = {}
        """By token: whom it proves, and until when; a signature is checked once."""

    def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """The token's subject and roles; with no key configured, the name a loopback caller gives."""
        if not self._key:
            name = metadata.get("tael-caller")
            return Principal(name) if name else Principal("system", (SYSTEM,))
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(Reason.UNAUTHENTICATED, "send authorization: Bearer <token>")
        principal, expires = self._proven.get(token, (None, 0.0))
        if principal is None or time.time() >= expires:
            principal, expires = self._prove(token)
            if len(self._proven) >= MOST_KEPT:
                self._proven.clear()
            self._proven[token] = principal, expires
        return principal

    def _prove(self, token: str) -> tuple[Principal, float]:
        try:
            claims = jwt.decode(
                token, self._key, algorithms=self._algorithms, options={"require": ["sub", "exp"]}
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(Reason.UNAUTHENTICATED, f"token refused: {error}") from error
        roles = claims.get("roles", [])
        if not isinstance(roles, list):
            raise Unauthenticated(Reason.UNAUTHENTICATED, "claim roles must be a list")
        principal = Principal(str(claims["sub"]), tuple(str(role) for role in roles))
        return principal, float(claims["exp"])


class Authorizer:
    """Asks the policy file which role may call which rpc; reads it again when it changes.

    Lines are `p, role, /package.Service/Method`, with * at the end as a wildcard. Without a file
    every role may. What moves money by hand, only a system does in one call.
    """

    def __init__(self, policy_file: Path | None) -> None:
        self._path = policy_file
        self._lock = Lock()
        self._policy: _Policy | None = None
        self._look_again = 0.0

    def check(self, principal: Principal, rpc: str) -> None:
        """Raises PermissionDenied unless the caller may call it alone, and one of their roles may."""
        if is_by_hand(rpc) and SYSTEM not in principal.roles:
            raise PermissionDenied(
                Reason.FOUR_EYES_REQUIRED,
                f"{principal.name} may not call {rpc} alone: ApprovalService.Propose has it approved",
            )
        self.check_role(principal, rpc)

    def check_role(self, principal: Principal, rpc: str) -> None:
        """Raises PermissionDenied unless one of the caller's roles may."""
        if self._path is None:
            return
        if not self._current(self._path).allows(principal.roles, rpc):
            raise PermissionDenied(
                Reason.PERMISSION_DENIED, f"{principal.name} has no role that may call {rpc}"
            )

    def check_caller(self, rpc: str) -> None:
        """As `check_role`, of whoever calls the rpc under way."""
        call = call_context.current()
        principal = Principal(call.caller, call.roles) if call else Principal("")
        self.check_role(principal, rpc)

    def _current(self, path: Path) -> _Policy:
        policy, now = self._policy, time.monotonic()
        if policy is None or now >= self._look_again:
            with self._lock:
                self._look_again = now + LOOK_AGAIN_SECONDS
                stamp = path.stat().st_mtime_ns
                if self._policy is None or stamp != self._policy.stamp:
                    self._policy = _Policy(path, stamp)
                policy = self._policy
        return policy


@cache
def is_by_hand(rpc: str) -> bool:
    """Whether the contract says that /package.Service/Method moves money by hand."""
    service, _, method = rpc.lstrip("/").partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    marked: bool = found.GetOptions().Extensions[four_eyes_pb2.by_hand]
    return marked


class _Policy:
    """The policy file as it stood, and what it answered."""

    def __init__(self, path: Path, stamp: int) -> None:
        self.stamp = stamp
        model = casbin.Model()
        model.load_model_from_text(MODEL)
        self._enforcer = casbin.Enforcer(model, casbin.persist.FileAdapter(str(path)))
        self._answers: dict[tuple[tuple[str, ...], str], bool] = {}

    def allows(self, roles: tuple[str, ...], rpc: str) -> bool:
        """Whether one of the roles may call."""
        key = roles, rpc
        answer = self._answers.get(key)
        if answer is None:
            answer = any(self._enforcer.enforce(role, rpc) for role in roles)
            if len(self._answers) >= MOST_KEPT:
                self._answers.clear()
            self._answers[key] = answer
        return answer
