"""The dashboard's section on the comparison: how far old and new agree, and what differs."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Final

from gateway.admin.dashboard.words import DASH
from gateway.core.comparison import percent
from gateway.core.vocabulary import pace

if TYPE_CHECKING:
    from gateway.admin.compared import Comparisons, DifferenceSummary
    from gateway.admin.dashboard.words import Words

_SHOWN: Final = 8
_LONGEST: Final = 60
_LEAST_P: Final = 0.001
_COLUMNS: Final = (
    ("listings", "n"), ("old_itself", "n"), ("verdict", ""), ("field", ""), ("kind", ""),
    ("cause", ""), ("example", "r"),
)  # fmt: skip


def agreement_section(found: Comparisons | None, say: Words) -> str:
    """Show the rate and what differs; nothing while nothing is mirrored and nothing was."""
    if found is None or not (found.listings or found.coverage.due or found.mirroring):
        return ""
    facts = " · ".join(_facts(found, say))
    title = f"<h2>{_e(say('agreement'))} <small>{facts}</small></h2>"
    sentence = f"<p>{_e(_sentence(found, say))}</p>"
    return title + sentence + _table(found.differences[:_SHOWN], say)


def _sentence(found: Comparisons, say: Words) -> str:
    if found.match_rate is None:
        return say("nothing_compared")
    if say.language == "en":
        return found.sentence
    return say("agree").format(
        listings=f"{found.listings:,}",
        rate=percent(found.match_rate),
        lower=percent(found.lower_bound),
        confidence=f"{found.confidence * 100:g}",
    )


def _facts(found: Comparisons, say: Words) -> list[str]:
    facts = []
    if found.mirror_off:
        facts.append(f'<span class="down">{_e(found.mirror_off)}</span>')
    means = ", ".join(found.dry_run_means) or found.means
    if means:
        facts.append(_e(say("dry_runs").format(means=means)))
    faster = found.pace.improvement_percent
    if faster is not None:
        key, values = pace(faster)
        facts.append(_e(say(key).format(**values)))
    lost = found.coverage.due - found.coverage.compared
    if lost:
        said = say("not_compared").format(lost=f"{lost:,}", due=f"{found.coverage.due:,}")
        facts.append(f'<span class="error">{_e(said)}</span>')
    if found.control.off:
        facts.append(f'<span class="error">{_e(found.control.off)}</span>')
    elif found.control.listings:
        facts.append(_e(say("controlled").format(listings=f"{found.control.listings:,}")))
    return facts


def _table(differences: list[DifferenceSummary], say: Words) -> str:
    if not differences:
        return ""
    heads = "".join(f'<th scope="col" class="{style}">{_e(say(n))}</th>' for n, style in _COLUMNS)
    rows = "".join(_row(each, say) for each in differences)
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _row(each: DifferenceSummary, say: Words) -> str:
    verdict = say(f"verdict_{each.verdict}")
    if each.p_value is not None and each.verdict != "harmless":
        few = each.p_value < _LEAST_P
        verdict += f" (p {'< 0.001' if few else f'{each.p_value:.3f}'})"
    example = DASH
    if each.examples:
        one = each.examples[0]
        example = f"{_value(one.old)} → {_value(one.new)}"
        if one.property_number:
            example = f"{one.property_number}: {example}"
    cells = (
        (f"{each.count:,}", "n"),
        (f"{each.control_count:,}", "n"),
        (verdict, "level fail" if each.counts else "level dim"),
        (each.path, ""),
        (say(f"kind_{each.kind}"), ""),
        (say(f"cause_{each.cause}"), ""),
        (example, "r"),
    )
    return "<tr>" + "".join(f'<td class="{s}">{_e(text)}</td>' for text, s in cells) + "</tr>"


def _value(value: object) -> str:
    text = DASH if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _e(value: object) -> str:
    return escape(str(value), quote=True)
