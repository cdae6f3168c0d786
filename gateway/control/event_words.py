"""
What events that are told in English say in Japanese: kind -> sentence.

Their figures are the event's own data; where the English sentence ends with a cause that another
program gave (an error, a driver's message), the whole of it follows in brackets.
"""

from __future__ import annotations

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
        "ドライランで何も保存されないことを確認しました。書き込みをミラーします({text})。"
    ),
    "mirror.unproven": (
        "ドライランで何も保存されないことを確認できません。書き込みはミラーしません({text})。"
    ),
    "control.proven": (
        "ドライランで何も保存されないことを確認しました。対照でノイズを見分けます({text})。"
    ),
    "control.unproven": (
        "ドライランで何も保存されないことを確認できません。対照は取りません({text})。"
    ),
    "policy.reload": "ポリシーを再読み込みしました({text})。",
    "workers.roll": "ワーカーを順に交代させています。",
    "comparison.rule": "差異の扱いを決めました({text})。",
    "comparison.fixed": "修正済みとして数え直します({text})。",
}
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
    parts = {
        "text": text.rstrip("."),
        "told": text.partition(": ")[2],
        "whose": text.partition("'s ")[0],
    }
    return sentence.format_map(_Values({**values, **parts}))


class _Values(dict[str, object]):
    """An event of another release may lack a figure; it is still worth telling."""

    def __missing__(self, key: str) -> str:
        return "?"
