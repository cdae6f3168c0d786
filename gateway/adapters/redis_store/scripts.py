"""The Lua scripts beside this file: read once, called by their digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.adapters.redis_store.client import Client

Argument = str | bytes | int
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Script:
    """One script: its text, and the digest by which servers know it."""

    name: str
    text: str = field(repr=False)
    sha1: str

    @classmethod
    def read(cls, name: str) -> Script:
        """Read `name`.lua."""
        text = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
        return cls(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    async def run(self, client: Client, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run it; a server that does not know it yet (new, restarted, taken over) learns it."""
        try:
            return await client.evalsha(self.sha1, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *args)

    def run_blocking(self, client: Client, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run it on a client for threads."""
        try:
            return client.evalsha(self.sha1, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *args)
