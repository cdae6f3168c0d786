"""
What comes in: the caller, the body and the query, each checked before a use case sees it.

Bodies are bounded and read as strict JSON (no NaN, no second value). A fault names the field and
what was expected there; what was sent is not repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.admin.auth import (
    Caller,
    GuessBrake,
    Scope,
    bearer,
    is_loopback,
    is_loopback_host,
    match_token,
    token_digest,
)
from gateway.admin.faults import Expected, expected, invalid
from gateway.admin.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from starlette.requests import Request

    from gateway.admin.auth import Token

MAX_BODY_BYTES: Final = 64 * 1024
MAX_USER_AGENT: Final = 200
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")

SET_TOKENS: Final = (
    "Set GATEWAY_ADMIN_TOKENS=name:scope:token (scope viewer, operator or admin), restart, and "
    "send 'Authorization: Bearer token'."
)
SET_TOKENS_JA: Final = (
    "GATEWAY_ADMIN_TOKENS=名前:権限:トークン(権限は viewer、operator、admin)を設定して再起動し、"
    "'Authorization: Bearer token' を送ってください。"
)

Shape = TypeVar("Shape")


class Page(BaseModel):
    """Keyset paging: the newest first, or those before an id."""

    model_config = ConfigDict(extra="forbid")

    before: int | None = Field(
        None, ge=1, le=2**62, description="Only rows older than this id; `next` of the page before."
    )
    limit: int = Field(50, ge=1, le=200)


class Gatekeeper:
    """Tells who is calling, or refuses without a hint why."""

    def __init__(
        self,
        tokens: Sequence[Token],
        *,
        today: Callable[[], date],
        brake: GuessBrake,
    ) -> None:
        self._tokens = tuple(tokens)
        self._today = today
        self._brake = brake

    @property
    def open_to_this_machine(self) -> bool:
        """Whether no token is set, so that only reads from here are answered."""
        return not self._tokens

    async def admit(self, request: Request, scope: Scope) -> Caller:
        """Name the caller, or raise 401, 403 or 429."""
        if not self._tokens:
            return self._local(request, scope)
        secret = bearer(request.headers.get("authorization"))
        caller = None if secret is None else await self.known(request, secret)
        if caller is None:
            raise ProblemError(
                401,
                "unauthorized",
                "A valid token is needed.",
                fix="Send 'Authorization: Bearer token' with a token of GATEWAY_ADMIN_TOKENS.",
                detail_ja="有効なトークンが必要です。",
                fix_ja="GATEWAY_ADMIN_TOKENS のトークンを Authorization: Bearer で送ってください。",
                headers={"WWW-Authenticate": 'Bearer realm="syncgate"'},
            )
        if caller.scope < scope:
            raise ProblemError(
                403,
                "forbidden",
                "This token may not do that.",
                fix=f"Use a token of scope {scope.name.lower()} or higher.",
                detail_ja="このトークンではその操作はできません。",
                fix_ja=f"{scope.name.lower()} 以上の権限のトークンを使ってください。",
            )
        return caller

    async def admit_scraper(self, request: Request) -> None:
        """Let Prometheus on this machine read without a token; from elsewhere it needs one."""
        forwarded = any(name in request.headers for name in _FORWARDED)
        here = is_loopback(peer_of(request)) and not forwarded
        if not (here and is_loopback_host(request.headers.get("host"))):
            await self.admit(request, Scope.VIEWER)

    async def known(self, request: Request, secret: str) -> Caller | None:
        """Name the holder of a token; a wrong one is counted and may be slowed down."""
        token = match_token(self._tokens, token_digest(secret), self._today())
        if token is not None:
            return caller_of(request, name=token.name, scope=Scope(token.scope))
        if not await self._brake.wrong(peer_of(request)):
            raise ProblemError(
                429, "too-many", "Too many wrong tokens.", headers={"Retry-After": "1"},
                detail_ja="誤ったトークンが多すぎます。",
            )  # fmt: skip
        return None

    def valid(self, digest: bytes) -> bool:
        """Whether a token that was right is so still (it may have had its last day)."""
        return match_token(self._tokens, digest, self._today()) is not None

    def _local(self, request: Request, scope: Scope) -> Caller:
        """Without tokens: reads, from this machine, asked for by a loopback name."""
        forwarded = any(name in request.headers for name in _FORWARDED)
        if forwarded or not is_loopback(peer_of(request)):
            raise ProblemError(
                403,
                "no-tokens",
                "No tokens are set, so only this machine itself may read.",
                fix=SET_TOKENS,
                detail_ja="トークンが未設定のため、このマシンからの閲覧のみ可能です。",
                fix_ja=SET_TOKENS_JA,
            )
        if not is_loopback_host(request.headers.get("host")):
            raise ProblemError(
                403,
                "foreign-host",
                "The Host header does not name this machine (protection against DNS rebinding).",
                fix="Call it as 127.0.0.1 or localhost, or set GATEWAY_ADMIN_TOKENS.",
                detail_ja="Host ヘッダーがこのマシンを指していません(DNS リバインディング対策)。",
                fix_ja="127.0.0.1 か localhost で呼ぶか、GATEWAY_ADMIN_TOKENS を設定してください。",
            )
        if scope > Scope.VIEWER:
            raise ProblemError(
                403,
                "no-tokens",
                "No tokens are set, so nothing can be changed.",
                fix=SET_TOKENS,
                detail_ja="トークンが未設定のため、変更はできません。",
                fix_ja=SET_TOKENS_JA,
            )
        return caller_of(request, name="local", scope=Scope.VIEWER)


def peer_of(request: Request) -> str:
    """Read the address of the other end of the connection."""
    return request.client.host if request.client else ""


def caller_of(request: Request, *, name: str, scope: Scope) -> Caller:
    """Name the caller as the audit will."""
    agent = request.headers.get("user-agent", "")[:MAX_USER_AGENT]
    return Caller(name=name, scope=scope, ip=peer_of(request), user_agent=agent)


async def read_body(request: Request, shape: TypeAdapter[Shape]) -> Shape:
    """Read the JSON body as `shape`, or raise 400, 413 or 422."""
    raw = await _bounded_body(request)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ProblemError(
            400,
            "not-json",
            "The body is not valid JSON.",
            fix='Send a JSON object, such as {"reason": "why"}.',
            detail_ja="本文が JSON ではありません。",
            fix_ja='{"reason": "理由"} のような JSON オブジェクトを送ってください。',
            errors=[{"field": "body", "expected": "a JSON object"}],
        ) from None
    return validated(shape, value, where="body")


async def _bounded_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise ProblemError(
                413,
                "too-large",
                f"The body is larger than {MAX_BODY_BYTES} bytes.",
                detail_ja=f"本文が {MAX_BODY_BYTES} バイトを超えています。",
                headers={"Connection": "close"},
            )
        chunks.append(chunk)
    return b"".join(chunks)


def read_query(request: Request, shape: type[BaseModel] | None) -> Any:
    """Read the query; what is not known is a mistake worth naming."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise invalid([Expected(f"query.{twice}", "given once", "一度だけ指定")])
    known = shape.model_fields if shape else {}
    if unknown := next((name for name in names if name not in known), None):
        listed = ", ".join(known)
        expected = f"one of {listed}" if known else "no query"
        japanese = f"{listed} のいずれか" if known else "クエリなし"
        raise invalid([Expected(f"query.{unknown}", expected, japanese)])
    return validated(TypeAdapter(shape or Page), dict(pairs), where="query")


def validated(shape: TypeAdapter[Shape], value: Any, *, where: str) -> Shape:
    """Check a value from outside; every fault at once, each with its field."""
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise invalid([expected(detail, value, where=where) for detail in found]) from None
