"""
Messages in words: templates of an operator's own, filled with real figures, never with a surprise.

A template is a text file, `config/messages/<language>/<message>[.<stage>[.<level>]].txt`: the first
line is the title, the second is empty, the rest is the text. `{field}` stands for a figure. A line
that begins with `? ` is left out when one of its figures is not known; one that begins with `- ` is
a labelled fact and is left out when none is. There is nothing else: no expressions, no code. So
everything that can be wrong with a template is found before anything starts, with file and line.

What fills a template is text from outside: it is put in once, as one line without anything that
steers, and never read as a template again. Escaping for a channel's markup is the channel's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.adapters.figures_in_words import FIELDS, known, shown
from gateway.adapters.notify.plain import bounded, one_line
from gateway.errors import ConfigurationError, Fault
from gateway.ports.alerts import Language, Rendered, Severity, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from gateway.ports.alerts import Delivery

GENERAL: Final = "general"
ALERT: Final = "alert"
NAMES: Final = (
    *(ALERT, "started", "promoted", "completed", "rollback", "emergency_stop", "decision"),
    *("promotion_wanted", "cause_due", "details_due", "stakeholders_first"),
    *("stakeholders_progress", "stakeholders_report", "notice", "report", "test", GENERAL),
)
"""What a template can be called before its stage."""
REQUIRED: Final = (
    *(GENERAL, "started", "promoted", "completed", "rollback", "test"),
    *(f"{ALERT}.{stage}" for stage in ("escalated", "acknowledged", "resolved")),
    *(f"{ALERT}.raised.{level.value}" for level in Severity),
)
"""What has to be there in every language."""
_FIRST_WORD: Final = frozenset({Stage.RAISED, Stage.TOLD, Stage.FOLLOW_UP})
_SUFFIX: Final = ".txt"
_MOST_BYTES: Final = 16 * 1024
_MOST_TITLE: Final = 200
_MOST_TEXT: Final = 6_000
_MOST_SHORT: Final = 1_000
_FIELD: Final = re.compile(r"\{([^{}\n]*)\}")
_ANY_BRACE: Final = re.compile(r"[{}]")
_LABEL: Final = re.compile(r"^(.{1,60}?)\s*[:：]\s*(.*)$")  # noqa: RUF001 - Japanese has its own
_TODO: Final = "Correct the templates; nothing was started."


class MessagesError(ConfigurationError):
    """Templates that cannot be used; all faults at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a template; `kind` is empty, `?` (all figures known) or `-` (a fact)."""

    kind: str
    text: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A title and lines."""

    title: Line
    lines: tuple[Line, ...]


class Templates:
    """`Messages` from files."""

    def __init__(self, found: Mapping[tuple[Language, str], Template]) -> None:
        self._found = dict(found)

    def render(self, delivery: Delivery) -> Rendered:
        """Fill the most special template there is for it."""
        figures = _figures(delivery)
        template = self._template(delivery)
        language = delivery.language
        title = bounded(one_line(_filled(template.title, figures, language)), _MOST_TITLE)
        body: list[str] = []
        facts: list[tuple[str, str]] = []
        for line in template.lines:
            missing = [name for name in line.fields if not known(name, figures)]
            if (line.kind == "?" and missing) or (
                line.kind == "-" and line.fields and len(missing) == len(line.fields)
            ):
                continue
            text = _filled(line, figures, language)
            body.append(text)
            if line.kind == "-" and (match := _LABEL.match(text)):
                facts.append((match[1], match[2]))
        todo = one_line(figures.get("todo") or "", 1_000)
        link = figures.get("link")
        return Rendered(
            id=delivery.id,
            incident=delivery.incident,
            level=delivery.level,
            stage=delivery.stage,
            language=language,
            title=title,
            text=bounded(_without_gaps(body), _MOST_TEXT),
            short=_short(delivery, title, figures),
            facts=tuple(facts),
            todo=todo,
            link=link if isinstance(link, str) and link else None,
            key=_key(delivery),
            at_us=delivery.made_us,
            figures=delivery.figures,
        )

    def _template(self, delivery: Delivery) -> Template:
        message, stage, level = delivery.message, delivery.stage.value, delivery.level.value
        names = [f"{message}.{stage}.{level}", f"{message}.{stage}"]
        # The plain template says that it happened; that it is answered or over is said for all.
        own = [message] if delivery.stage in _FIRST_WORD else []
        names += [*own, f"{ALERT}.{stage}.{level}", f"{ALERT}.{stage}", message, GENERAL]
        known_ones = (self._found.get((delivery.language, name)) for name in names)
        return next(found for found in known_ones if found is not None)


def load_messages(folder: Path, *, also: Iterable[str] = ()) -> Templates:
    """Read every template; MessagesError with every fault, its file, line and what is known.

    `also` are messages that the operator's own follow-ups name.
    """
    names = (*NAMES, *also)
    faults: list[Fault] = []
    found: dict[tuple[Language, str], Template] = {}
    try:
        folders = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        fault = Fault(str(folder), f"cannot be read ({error.strerror})", "a folder of templates")
        raise MessagesError("Messages", (fault,), todo=_TODO) from error
    languages = {language.value for language in Language}
    for path in folders:
        if path.name not in languages:
            faults.append(Fault(str(path), "is no language we speak", ", ".join(sorted(languages))))
            continue
        for file in sorted(path.iterdir()):
            template = _read(file, names, faults)
            if template is not None:
                found[Language(path.name), file.name.removesuffix(_SUFFIX)] = template
    named = {fault.where.partition(":")[0] for fault in faults}
    for language in Language:
        for name in REQUIRED:
            path = folder / language.value / f"{name}{_SUFFIX}"
            if (language, name) not in found and str(path) not in named:
                faults.append(Fault(str(path), "is missing", "a template of that name"))
    if faults:
        raise MessagesError("Messages", tuple(faults), todo=_TODO)
    return Templates(found)


def _read(file: Path, names: Sequence[str], faults: list[Fault]) -> Template | None:
    where = str(file)
    if fault := _misnamed(file.name, names):
        faults.append(Fault(where, *fault))
        return None
    try:
        raw = file.read_bytes()
        text = raw.decode()
    except OSError as error:
        faults.append(Fault(where, f"cannot be read ({error.strerror})", "a text file"))
        return None
    except UnicodeDecodeError:
        faults.append(Fault(where, "is not UTF-8", "UTF-8 text"))
        return None
    if len(raw) > _MOST_BYTES:
        faults.append(Fault(where, f"has {len(raw)} bytes", f"at most {_MOST_BYTES}"))
        return None
    before = len(faults)
    written = text.removeprefix("\ufeff").splitlines()
    if not written or not written[0].strip():
        faults.append(Fault(f"{where}:1", "has no title", "a title on the first line"))
    elif written[0].startswith(("? ", "- ")):
        faults.append(Fault(f"{where}:1", "is no title", "a line without `? ` or `- `"))
    if len(written) > 1 and written[1].strip():
        faults.append(Fault(f"{where}:2", "is not empty", "an empty line after the title"))
    made = [_line(text, f"{where}:{number}", faults) for number, text in enumerate(written, 1)]
    return Template(made[0], tuple(made[2:])) if len(faults) == before else None


def _misnamed(name: str, names: Sequence[str]) -> tuple[str, str] | None:
    """Say what is wrong with a file's name; a template nobody would ever use is a mistake."""
    if not name.endswith(_SUFFIX):
        return "is no template", f"a name that ends with {_SUFFIX}"
    message, *rest = name.removesuffix(_SUFFIX).split(".")
    if message not in names:
        return "is no message of ours", ", ".join(names)
    stages, levels = [each.value for each in Stage], [each.value for each in Severity]
    if len(rest) > 2 or (rest and rest[0] not in stages):  # noqa: PLR2004 - stage and level
        return "names no stage", f"{message}.<stage> with one of {', '.join(stages)}"
    if rest[1:] and rest[1] not in levels:
        return "names no level", f"{message}.{rest[0]}.<level> with one of {', '.join(levels)}"
    return None


def _line(text: str, where: str, faults: list[Fault]) -> Line:
    kind = text[0] if text.startswith(("? ", "- ")) else ""
    fields = tuple(_FIELD.findall(text))
    known_fields = ", ".join(sorted(FIELDS))
    faults.extend(
        Fault(where, f"{{{name}}} is no field", known_fields)
        for name in fields
        if name not in FIELDS
    )
    if _ANY_BRACE.search(_FIELD.sub("", text)):
        faults.append(Fault(where, "has a brace without its other half", "{field}"))
    if kind == "?" and not fields:
        faults.append(Fault(where, "has no field to depend on", "`? ` before a line with {field}"))
    return Line(kind, text[2:] if kind else text, fields)


def _figures(delivery: Delivery) -> dict[str, object]:
    """Join the figures with what the delivery itself says."""
    own = {
        "id": delivery.id,
        "incident": delivery.incident or None,
        "level": delivery.level.value,
        "stage": delivery.stage.value,
        "message": delivery.message,
        "at_us": delivery.made_us,
    }
    return {**delivery.figures, **own}


def _filled(line: Line, figures: Mapping[str, object], language: Language) -> str:
    return _FIELD.sub(lambda match: shown(match[1], figures, language), line.text)


def _without_gaps(body: list[str]) -> str:
    """Join; where lines were left out, one empty line is enough."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(body)).strip("\n")


def _short(delivery: Delivery, title: str, figures: Mapping[str, object]) -> str:
    """Say it in few characters, the most important first."""
    number = f" #{delivery.incident}" if delivery.incident else ""
    parts = [f"[{delivery.level.value.upper()}{number}] {title}"]
    parts += [one_line(figures[each]) for each in ("why", "todo") if known(each, figures)]
    text = bounded("\n".join(parts), _MOST_SHORT)
    link = figures.get("link")
    return f"{text}\n{link}" if isinstance(link, str) and link else text


def _key(delivery: Delivery) -> str:
    rule = one_line(delivery.figures.get("rule") or delivery.message, 100)
    system = delivery.figures.get("system")
    return f"{rule}:{one_line(system, 20)}" if system else rule
