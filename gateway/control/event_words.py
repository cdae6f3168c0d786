"""
What events that are told in English say in Japanese: kind -> sentence.

Their figures are the event's own data. A cause that another program gave (an error, a driver's
message) is taken from the English sentence as it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SENTENCES: Final[dict[str, str]] = {
    "breaker.changed": "{variant} に対する遮断器が「{state}」になりました({whose})。",
    "worker.died": "ワーカー {worker} が停止したため、交代を起動しています({text})。",
    "canary_sync.stopped": "新システムの同期を停止しました。",
    "canary_sync.not_stopped": (
        "新システムの同期を停止できませんでした。動作中ならプロセスを停止してください({text})。"
    ),
    "user.report": "ユーザーから問題の報告({severity}): {told}",
    "source.readable": "計測値を再び読み取れるようになりました({text})。",
    "source.unreadable": "計測値を読み取れず、値が古くなっていきます({text})。",
    "mirror.proven": (
        "{who}のドライランが何も保存しないことを確認しました({cause})。書き込みをミラーします。"
    ),
    "mirror.unproven": (
        "{who}のドライランが何も保存しないことを確認できません({cause})。書き込みはミラーしません。"
    ),
    "control.proven": (
        "{who}のドライランが何も保存しないことを確認しました({cause})。"
        "同じシステム同士の対照でノイズを見分けます。"
    ),
    "control.unproven": (
        "{who}のドライランが何も保存しないことを確認できません({cause})。対照は取りません。"
    ),
    "policy.reload": "ポリシーを再読み込みしました({text})。",
    "workers.roll": "ワーカーを順に交代させています。",
    "comparison.rule": "差異の扱いを決めました({text})。",
    "comparison.fixed": "修正済みとして数え直します({text})。",
}
_IN_BRACKETS: Final = re.compile(r"\((.*)\)")
_SYSTEMS: Final[dict[str, str]] = {"Old": "旧システム", "New": "新システム"}
_VALUES: Final[dict[str, str]] = {
    "closed": "閉",
    "open": "開",
    "half_open": "半開",
    "isolated": "隔離",
    "minor": "軽微",
    "serious": "重大",
}


def japanese(kind: str, text: str, data: Mapping[str, object]) -> str | None:
    """Say an event in Japanese; None: there is no sentence for its kind."""
    sentence = _SENTENCES.get(kind)
    if sentence is None:
        return None
    values = {name: _VALUES.get(str(value), value) for name, value in data.items()}
    whole, first = text.rstrip("."), text.partition(" ")[0]
    cause = _IN_BRACKETS.search(text)
    parts = {
        "text": whole,
        "cause": cause[1] if cause else whole,
        "who": _SYSTEMS.get(first.capitalize(), "システム"),
        "told": text.partition(": ")[2],
        "whose": text.partition("'s ")[0],
    }
    return sentence.format_map(_Values({**values, **parts}))


class _Values(dict[str, object]):
    """An event of another release may lack a figure; it is still worth telling."""

    def __missing__(self, key: str) -> str:
        return "?"
