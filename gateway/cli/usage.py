"""
What is said when a command line cannot be understood: in both languages, and as JSON with `--json`.

The parser's own words are for programmers; each of its complaints is put into ours here.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from gateway.cli.session import Exit, Session
from gateway.cli.texts import pick_language

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMPLAINTS: Final[tuple[tuple[str, str, str], ...]] = (
    (r"No such command '(.+?)'\.?", "There is no command '{0}'.", "コマンド '{0}' はありません。"),
    (
        r"No such option: (\S+)(?: \(Possible options: (.+)\))?",
        "There is no option {0}.",
        "オプション {0} はありません。",
    ),
    (r"Missing \w+ '(.+)'\.", "{0} is missing.", "{0} を指定してください。"),
    (
        r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)",
        "Too much: {0}.",
        "余分な引数です: {0}",
    ),
    (r"Option '(.+)' requires an argument\.", "{0} needs a value.", "{0} には値が必要です。"),
    (r"Option '(.+)' does not take a value\.", "{0} takes no value.", "{0} に値は付けられません。"),
    (
        r"Invalid value for '?(.+?)'?: (.+)",
        "{0}: expected {1}.",
        "{0} の値が正しくありません({1}を指定してください)。",
    ),
)
_EXPECTATIONS: Final[tuple[tuple[str, str, str], ...]] = (
    (r"Input should be greater than or equal to (\S+)", "{0} or more", "{0} 以上"),
    (r"Input should be less than or equal to (\S+)", "{0} or less", "{0} 以下"),
    (r"Input should be a valid integer.*", "a whole number", "整数"),
    (r"Input should be a valid number.*", "a number", "数値"),
    (
        r"a file that ends in (\S+) or (\S+)",
        "a file that ends in {0} or {1}",
        "{0} か {1} のファイル",
    ),
    (r"(\S+), (\S+) or (\S+)", "{0}, {1} or {2}", "{0}、{1}、{2} のいずれか"),
    (r"(\S+) or (\S+)", "{0} or {1}", "{0} か {1} "),
)


class Commands(TyperGroup):
    """All commands; ends with 2 where the command line is wrong, in the operator's language."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - as its base has it
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - as above
        **more: Any,
    ) -> Any:
        """Run one."""
        try:
            code = super().main(
                args, prog_name, complete_var, False, windows_expand_args, **more  # noqa: FBT003 - as above
            )  # fmt: skip
        except TyperException as error:
            _tell(error, sys.argv[1:] if args is None else args)
            code = error.exit_code
        except typer.Abort:
            typer.echo("", err=True)
            code = int(Exit.REFUSED)
        if standalone_mode:
            sys.exit(code or 0)
        return code


def _tell(error: TyperException, words: Sequence[str]) -> None:
    """Say what is wrong, and where help is."""
    context = getattr(error, "ctx", None)
    if context is not None and error.message == context.get_help():
        typer.echo(error.message, err=True)
        return
    session = Session(lang=_language(words), as_json="--json" in words)
    detail = in_words(error.format_message(), japanese=session.say.language == "ja")
    fix = f"{context.command_path} -h" if context is not None else None
    try:
        session.fail(Exit.USAGE, detail, fix=fix and session.say("usage_fix", command=fix))
    except typer.Exit:
        return


def in_words(said: str, *, japanese: bool) -> str:
    """Put what the parser said into our words; what is not known stays as it is."""
    for pattern, *ours in _COMPLAINTS:
        if found := re.fullmatch(pattern, said, re.DOTALL):
            parts = [_expectation(part or "", japanese=japanese) for part in found.groups()]
            return ours[japanese].format(*parts)
    return said


def _expectation(said: str, *, japanese: bool) -> str:
    for pattern, *ours in _EXPECTATIONS:
        if found := re.fullmatch(pattern, said, re.DOTALL):
            return ours[japanese].format(*found.groups())
    return said


def _language(words: Sequence[str]) -> str:
    """Find the language that was asked for in a command line that was not understood."""
    asked = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--lang":
            asked = following
        elif word.startswith("--lang="):
            asked = word.removeprefix("--lang=")
    return pick_language(asked or Session.preset.get("lang"), os.environ)
