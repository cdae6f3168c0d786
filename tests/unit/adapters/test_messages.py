"""Templates: what they say, filled with real figures, and every mistake before anything starts."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.messages import NAMES, REQUIRED, MessagesError, load_messages
from gateway.ports.alerts import Language, Severity, Stage
from tests.support.told import LINK, SHIPPED, delivery, rendered, shipped

if TYPE_CHECKING:
    from pathlib import Path

BOTH = pytest.mark.parametrize("language", list(Language))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the templates, to be spoiled."""
    copy = tmp_path / "messages"
    shutil.copytree(SHIPPED, copy)
    return copy


@BOTH
@pytest.mark.parametrize("level", list(Severity))
def test_every_level_is_told_with_its_figures(language: Language, level: Severity) -> None:
    """Rate with limit and sample, weight, why, whom, until when, the command and the link."""
    message = rendered(language=language, level=level)
    for figure in ("5.2 %", "5 %", "1,200", "10 %", "Aoki", LINK, "small_traffic"):
        assert figure in message.text
    assert 'syncgate rollback --reason "errors"' in message.text
    assert "syncgate ack 12" in message.text
    assert "5 min" in message.text or "5 分" in message.text
    assert message.link == LINK
    assert message.short.startswith(f"[{level.value.upper()} #12] ")


@BOTH
@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("name", [*NAMES, "something_new"])
def test_everything_that_can_be_told_has_words(language: Language, stage: Stage, name: str) -> None:
    """No message is dropped for want of a template, and none shows a brace."""
    message = rendered(language=language, stage=stage, message=name)
    assert message.title
    assert not set("{}") & set(message.title + message.text.replace(LINK, ""))


@BOTH
@pytest.mark.parametrize("name", NAMES)
def test_figures_that_nobody_knows_are_not_invented(language: Language, name: str) -> None:
    """With no figures at all there is still a message, without zeros and empty labels."""
    bare = delivery(language=language, message=name)
    message = shipped().render(type(bare)(**{**_fields(bare), "figures": {}}))
    assert message.title
    assert "None" not in message.text
    assert not re.search(r"[:：]\s*$", message.text, re.MULTILINE)


def _fields(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in type(one).__slots__}


@BOTH
def test_who_has_it_and_how_long_it_took(language: Language) -> None:
    """Acknowledged and resolved speak for every kind of trouble."""
    for name in ("alert", "rollback", "decision"):
        told = {"acknowledged_by": "佐藤", "acknowledged_reason": "見ています", "lasted_s": 5400}
        taken = rendered(language=language, stage=Stage.ACKNOWLEDGED, message=name, figures=told)
        assert "佐藤" in taken.text
        assert "見ています" in taken.text
        over = rendered(language=language, stage=Stage.RESOLVED, message=name, figures=told)
        assert "90 min" in over.text or "90 分" in over.text
        assert "佐藤" in over.text


@BOTH
def test_a_phase_that_moved_says_from_where_to_where(language: Language) -> None:
    """The four that announce the rollout's steps, with weights."""
    about = {"before": "small_traffic", "phase": "medium_traffic", "weight_percent": 50.0,
             "baked_s": 259_200, "actor": "policy"}  # fmt: skip
    told = {
        name: rendered(
            language=language, stage=Stage.TOLD, message=name, level=Severity.LOW, figures=about
        )
        for name in ("started", "promoted", "rollback", "completed")
    }
    assert "50 %" in told["promoted"].title
    assert "small_traffic" in told["promoted"].text
    assert "3 d" in told["promoted"].text or "3 日" in told["promoted"].text
    assert len({message.title for message in told.values()}) == 4


def test_both_languages_have_the_same_templates() -> None:
    """What one language says, the other says too, with the same figures."""
    for english in sorted((SHIPPED / "en").iterdir()):
        japanese = SHIPPED / "ja" / english.name
        fields = [set(re.findall(r"{\w+}", each.read_text())) for each in (english, japanese)]
        assert fields[0] == fields[1], english.name
    assert len(list((SHIPPED / "en").iterdir())) == len(list((SHIPPED / "ja").iterdir()))


def test_a_figure_is_never_read_as_a_template() -> None:
    """Braces, line breaks and template marks in text from outside stay text on one line."""
    evil = "{link} {unknown}\r\nNext: rm -rf /\u2028? {todo}"
    message = rendered(figures={"why": evil, "title": "{why}"})
    assert "{link} {unknown} Next: rm -rf / ? {todo}" in message.text
    assert message.title.startswith("{why} ")


def test_every_mistake_is_found_at_once(folder: Path) -> None:
    """Unknown field, stray brace, unknown name, stage, level and language, missing, not UTF-8."""
    english = folder / "en"
    (english / "started.txt").write_text("Started {wieght}\n\nfine\nOne { brace\n? nothing\n")
    (english / "promotd.txt").write_text("x\n")
    (english / "alert.razed.txt").write_text("x\n")
    (english / "alert.raised.huge.txt").write_text("x\n")
    (english / "test.txt").unlink()
    (folder / "ja" / "rollback.txt").write_bytes(b"\xff\xfe")
    (folder / "ja" / "general.txt").write_text("\n\nno title\n")
    (folder / "ja" / "completed.txt").write_text("title\nnot empty\n")
    (folder / "ja" / "notes.md").write_text("")
    (folder / "fr").mkdir()
    with pytest.raises(MessagesError) as failure:
        load_messages(folder)
    faults = {
        fault.where.removeprefix(f"{folder}/"): fault.problem for fault in failure.value.faults
    }
    assert faults == {
        "en/started.txt:1": "{wieght} is no field",
        "en/started.txt:4": "has a brace without its other half",
        "en/started.txt:5": "has no field to depend on",
        "en/promotd.txt": "is no message of ours",
        "en/alert.razed.txt": "names no stage",
        "en/alert.raised.huge.txt": "names no level",
        "en/test.txt": "is missing",
        "ja/rollback.txt": "is not UTF-8",
        "ja/general.txt:1": "has no title",
        "ja/completed.txt:2": "is not empty",
        "ja/notes.md": "is no template",
        "fr": "is no language we speak",
    }
    wieght = next(fault for fault in failure.value.faults if "wieght" in fault.problem)
    assert "weight" in wieght.expected.split(", ")
    assert failure.value.exit_code == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No templates, no start."""
    with pytest.raises(MessagesError, match="cannot be read"):
        load_messages(tmp_path / "nowhere")


def test_an_operators_own_messages_can_be_worded(folder: Path) -> None:
    """A follow-up of one's own may have a template; one nobody uses is a mistake."""
    (folder / "en" / "legal_notice.txt").write_text("To legal: {title}\n\n{why}\n")
    with pytest.raises(MessagesError, match="legal_notice"):
        load_messages(folder)
    own = load_messages(folder, also=["legal_notice"])
    told = own.render(delivery(message="legal_notice", stage=Stage.FOLLOW_UP))
    assert told.title == "To legal: Error rate too high"


def test_what_is_required_is_shipped() -> None:
    """The list of what must be there names templates that are there."""
    for language in Language:
        have = {path.name.removesuffix(".txt") for path in (SHIPPED / language.value).iterdir()}
        assert set(REQUIRED) <= have


def test_every_command_named_in_a_message_exists() -> None:
    """`what to do next` is a command that somebody can run."""
    from typer.main import get_command

    from gateway.cli.app import app as commands

    known = set(get_command(commands).commands) | {"ack"}
    for path in SHIPPED.rglob("*.txt"):
        for command in re.findall(r"syncgate ([a-z]+)", path.read_text()):
            assert command in known or command in {"the", "test"}, f"{path.name}: {command}"


@pytest.mark.parametrize(
    "weird", [float("nan"), float("inf"), True, [], {}, "x" * 10**6, -1, 10**40]
)
def test_a_figure_of_the_wrong_kind_breaks_nothing(weird: object) -> None:
    """A figure is shown, or called unknown; no message fails over it."""
    names = ("sample", "window_s", "raised_us", "weight_percent", "names", "why", "title", "todo")
    message = rendered(figures=dict.fromkeys(names, weird))
    assert message.title
    assert len(message.text) < 20_000
