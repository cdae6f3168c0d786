"""Turns what has to be told into deliveries: one per channel and language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.alerts import Stage
from gateway.core.model import SECOND_US
from gateway.ports.alerts import Delivery, Language

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gateway.core import rollout
    from gateway.core.alerts import Tell
    from gateway.ports.alerts import AlertSettings

LAST_RESORT: Final = "log"
"""Where something is told that has no other channel."""
_OPEN_STAGES: Final = frozenset({Stage.RAISED, Stage.UPDATED, Stage.ESCALATED, Stage.FOLLOW_UP})


def messages(
    tell: Tell,
    settings: AlertSettings,
    *,
    usable: Collection[str],
    state: rollout.State,
    plan: rollout.Plan,
    link: str | None,
) -> Iterator[Delivery]:
    """Make the messages of one thing to tell, over the channels that can be used."""
    channels = [name for name in tell.channels if name in usable] or [LAST_RESORT]
    for channel in channels:
        # Whoever reads the log may not act for whoever is told.
        open_link = None if channel == LAST_RESORT else link
        for language in settings.languages.get(channel) or tell.languages:
            yield Delivery(
                id=f"{tell.id}-{channel}-{language}",
                incident=tell.incident.number if tell.incident else 0,
                channel=channel,
                level=tell.level,
                stage=tell.stage,
                language=Language(language),
                message=tell.message,
                figures=_figures(
                    tell,
                    settings,
                    language=Language(language),
                    state=state,
                    plan=plan,
                    link=open_link,
                ),
                made_us=tell.at_us,
                next_us=tell.at_us,
            )


def _figures(
    tell: Tell,
    settings: AlertSettings,
    *,
    language: Language,
    state: rollout.State,
    plan: rollout.Plan,
    link: str | None,
) -> Mapping[str, object]:
    """Everything a template may want; what is not known is absent."""
    japanese = language is Language.JA
    own = dict(tell.figures)
    for name in ("value_text", "threshold_text", "why"):
        in_japanese = own.pop(f"{name}_ja", None)
        if japanese and in_japanese is not None:
            own[name] = in_japanese
    figures: dict[str, object] = {
        "status": state.status.value,
        "weight_percent": state.write_bp / 100,
        "phase": None if state.phase is None else _phase(plan, state.phase, japanese=japanese),
        **own,
        "title": tell.title.ja if japanese else tell.title.en,
        "why": tell.why.ja if japanese else tell.why.en,
        "todo": tell.todo,
        "names": list(tell.names),
    }
    for name in ("phase", "before"):
        number = next((n for n, one in enumerate(plan.phases) if one.id == own.get(name)), None)
        if number is not None:
            figures[name] = _phase(plan, number, japanese=japanese)
    incident = tell.incident
    if incident is not None:
        rung = settings.plan.ladder[min(incident.step, len(settings.plan.ladder)) - 1]
        figures |= {
            "rule": incident.rule,
            "system": incident.system,
            "value": incident.value,
            "threshold": incident.threshold,
            "sample": incident.sample or None,
            "raised_us": incident.raised_us,
            "answer_by_us": incident.due_us,
            "step": incident.step,
            "step_title": rung.title.ja if japanese else rung.title.en,
            "acknowledged_by": incident.ack.by if incident.ack else None,
            "acknowledged_reason": incident.ack.reason if incident.ack else None,
            "lasted_s": None
            if incident.ended_us is None
            else (incident.ended_us - incident.raised_us) // SECOND_US,
            "link": link if tell.stage in _OPEN_STAGES and incident.ack is None else None,
        }
    return {name: value for name, value in figures.items() if value is not None}


def _phase(plan: rollout.Plan, number: int, *, japanese: bool) -> str:
    phase = plan.phases[number]
    return f"{number + 1} {phase.title_ja if japanese else phase.title}"
