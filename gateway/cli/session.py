"""
One run of the command: whom it talks to, in which language, and how it ends.

Exit codes are a contract: 0 done, 1 refused (why and what to do), 2 wrong usage, 3 cannot reach.
What is asked for goes to stdout, everything else to stderr; with `--json` stdout is one JSON
document, whether it worked or not.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

import typer

from gateway.cli.client import BadTargetError, Gateway, UnreachableError, find_target, here
from gateway.cli.texts import Texts, pick_language

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.cli.client import Answer


_DIGITS: Final = 4


class Exit(IntEnum):
    """How the command ends."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


@dataclass
class Session:
    """What every command needs, made when it is needed."""

    preset: ClassVar[dict[str, str | None]] = {}
    """What stood before the command's name; the command's own options win."""

    url: str | None = None
    token: str | None = None
    lang: str | None = None
    as_json: bool = False
    _gateway: Gateway | None = field(default=None, init=False)
    _texts: Texts | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Take over what stood before the command's name."""
        self.url = self.url or self.preset.get("url")
        self.token = self.token or self.preset.get("token")
        self.lang = self.lang or self.preset.get("lang")

    @property
    def say(self) -> Texts:
        """The sentences in the operator's language."""
        if self._texts is None:
            self._texts = Texts(pick_language(self.lang, here()[0]))
        return self._texts

    @property
    def gateway(self) -> Gateway:
        """The gateway, wherever it was found."""
        if self._gateway is None:
            environment, folder = here()
            try:
                target = find_target(self.url, self.token, environment=environment, folder=folder)
            except BadTargetError as error:
                self.fail(Exit.USAGE, str(error))
            self._gateway = Gateway(target)
        return self._gateway

    @property
    def out(self) -> Console:
        """The terminal, or the pipe, that answers go to."""
        from rich.console import Console  # noqa: PLC0415 - `--json` and `--help` need not wait for it

        return Console(highlight=False, soft_wrap=not sys.stdout.isatty())

    def width(self, of_pipes: int) -> int:
        """Give the columns there are: of the terminal, else what COLUMNS says, else `of_pipes`."""
        if sys.stdout.isatty():
            return self.out.width
        said = os.environ.get("COLUMNS", "")
        return (
            int(said)
            if said.isascii() and said.isdigit() and 0 < len(said) <= _DIGITS
            else of_pipes
        )

    @property
    def interactive(self) -> bool:
        """Whether somebody is there to be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def get(self, path: str) -> Any:
        """Read, or end."""
        return self._checked(lambda: self.gateway.get(path))

    def page(self, path: str) -> str:
        """Read text, or end."""
        return str(self._checked(lambda: self.gateway.page(path)))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Change, or end."""
        return self._checked(lambda: self.gateway.post(path, body))

    def delete(self, path: str, body: dict[str, Any]) -> Any:
        """End something, or end."""
        return self._checked(lambda: self.gateway.delete(path, body))

    def show_json(self, value: Any) -> None:
        """Print one JSON document."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def note(self, text: str) -> None:
        """Say something beside the answer."""
        self._tell(text, "")

    def _tell(self, text: str, style: str) -> None:
        """Write to stderr; on a terminal in words, not cut at the margin."""
        if not sys.stderr.isatty():
            typer.echo(text, err=True)
            return
        from rich.console import Console  # noqa: PLC0415 - as above
        from rich.text import Text  # noqa: PLC0415 - as above

        Console(stderr=True, highlight=False).print(Text(text, style=style))

    def fail(self, code: Exit, detail: str, *, fix: str | None = None, **more: Any) -> NoReturn:
        """End with why and what to do."""
        if self.as_json:
            problem = {"exit_code": int(code), "detail": detail, "fix": fix, **more}
            self.show_json({"error": {key: value for key, value in problem.items() if value}})
        self._tell(detail, "red")
        if fix:
            self.note(self.say("fix", fix=fix))
        raise typer.Exit(code)

    def _checked(self, call: Any) -> Any:
        try:
            answer: Answer = call()
        except UnreachableError as error:
            target = self.gateway.target
            self.fail(
                Exit.UNREACHABLE,
                self.say("unreachable", url=target.url, cause=error),
                fix=self.say("unreachable_fix", source=target.source),
            )
        if answer.ok:
            return answer.body
        return self._refused(answer)

    def _refused(self, answer: Answer) -> NoReturn:
        body = answer.body if isinstance(answer.body, dict) else {}
        tail = "_ja" if self.say.language == "ja" else ""
        told = body.get(f"detail{tail}") or body.get("detail")
        detail = _as_typed(str(told or f"HTTP {answer.status}"))
        fix = body.get(f"fix{tail}") or body.get("fix")
        if answer.status == 401:  # noqa: PLR2004 - no valid token
            fix = self.say("no_token_fix")
        if answer.status == 404 and not fix:  # noqa: PLR2004 - not ours: the admin port's say what to do
            target = self.gateway.target
            fix = self.say("not_admin_fix", url=target.url, source=target.source)
        gates = body.get("gates") or []
        listed = "".join(f"\n  {gate['name']}: {gate[f'reason{tail}']}" for gate in gates)
        code = Exit.USAGE if answer.status in {400, 422} else Exit.REFUSED
        self.fail(code, self.say("refused", detail=detail) + listed, fix=fix, problem=body)


_TYPED: Final = {"body.minutes": "--for", "body.rule": "RULE", "body.at": "--at"}
_FIELD: Final = re.compile(r"\b(query|body)\.(\w+)")


def _as_typed(detail: str) -> str:
    """Name options as they are typed, not as the gateway's API calls what they become."""
    return _FIELD.sub(lambda found: _TYPED.get(found[0], f"--{found[2]}"), detail)
