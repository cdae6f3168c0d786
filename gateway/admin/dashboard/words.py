"""
What only the dashboard says, in the operators' two languages, and how it writes figures.

Words that stand on the command line too are in `gateway.core.vocabulary`.
"""

from __future__ import annotations

from typing import Final

from gateway.core.vocabulary import VOCABULARY

WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Rollout", "ロールアウト"),
    "phase": ("phase", "フェーズ"),
    "do": ("Run", "実行"),
    "nothing": ("Nothing to do now.", "今は操作不要です。"),
    "to_new": ("to new", "新システムへ"),
    "bake_left": ("Healthy time left: {left}.", "健全な稼働の残り: {left}。"),
    "last": ("last", "直近"),
    "system": ("system", "システム"),
    "per_1000": ("per 1,000", "千件毎"),
    "breaker": ("breaker", "遮断器"),
    "gate": ("gate", "ゲート"),
    "because": ("why", "理由"),
    "rule": ("rule", "規則"),
    "threshold": ("threshold", "閾値"),
    "level": ("evidence", "証拠"),
    "rate": ("estimated rate", "推定率"),
    "alerts": ("Open alerts", "未解決のアラート"),
    "taken_by": ("taken by", "対応中:"),
    "asked_now": ("asked now:", "担当:"),
    "answer_by": ("answer by", "回答期限"),
    "silenced": ("silenced", "抑止中"),
    "decisions": ("Waiting for a person", "判断待ち"),
    "left": ("left", "残り"),
    "held": ("held by", "保留者"),
    "gone": ("The gateway has not answered since", "ゲートウェイの応答がありません:"),
    "selected": (
        "The page stands still while something in it is selected.",
        "選択中のため表示を更新していません。",
    ),
    "age": ("What stands here is {seconds} s old.", "表示は {seconds} 秒前のものです。"),
    "mirrored": ("mirrored copies, too", "ミラー分を含む"),
    "bakes": ("{left} left", "残り {left}"),
    "breaker_closed": ("closed", "閉"),
    "breaker_open": ("open", "開"),
    "breaker_half_open": ("half-open", "半開"),
    "breaker_isolated": ("isolated", "隔離"),
    "breaker_unknown": ("unknown", "不明"),
    "token": ("Admin token", "管理トークン"),
    "sign_in": ("Sign in", "サインイン"),
    "sign_out": ("Sign out", "サインアウト"),
    "wrong": ("That token is not valid.", "トークンが無効です。"),
    "ask_token": (
        "This gateway asks for a token (see GATEWAY_ADMIN_TOKENS).",
        "トークンが必要です(GATEWAY_ADMIN_TOKENS を参照)。",
    ),
    "refused": ("Not done", "実行できませんでした"),
    "refused_foreign-origin": (
        "This form was sent from another site. Open the dashboard itself and try again.",
        "別のサイトから送信されたフォームです。ダッシュボードを直接開いて、やり直してください。",
    ),
    "refused_too-large": ("The form is too large.", "送信内容が大きすぎます。"),
    "refused_too-many": (
        "Too many wrong tokens. Wait a moment and try again.",
        "誤ったトークンが多すぎます。少し待って、やり直してください。",
    ),
    "refused_not-found": ("There is no such page.", "ページがありません。"),
    "dashboard": ("Dashboard", "ダッシュボード"),
    "agreement": ("Old and new compared", "旧と新の比較"),
    "dry_runs": ("dry runs: {means}", "ドライラン: {means}"),
    "not_compared": (
        "{lost} of {due} shadows not compared",
        "ミラー {due} 件中 {lost} 件は比較不能",
    ),
    "controlled": (
        "{listings} listings of old checked against itself",
        "旧同士の対照 {listings} 件",
    ),
    "example": ("example: old → new", "例: 旧 → 新"),
    "policy": ("policy", "ポリシー"),
    "daily": ("Daily report", "日次レポート"),
    "weekly": ("Weekly report", "週次レポート"),
    "other": ("日本語", "English"),
}
DASH: Final = "–"  # noqa: RUF001 - an en dash, as typesetters mark what is absent
_MANY: Final = 100


class Words:
    """The words in one language."""

    def __init__(self, language: str) -> None:
        self.language = "ja" if language == "ja" else "en"
        self._column = 1 if self.language == "ja" else 0

    def __call__(self, key: str) -> str:
        """Say it; a key without a word is shown as it is."""
        pair = WORDS.get(key) or VOCABULARY.get(key)
        return pair[self._column] if pair else key.replace("_", " ")

    def knows(self, key: str) -> bool:
        """Whether there are words for it."""
        return key in WORDS or key in VOCABULARY

    def span(self, seconds: float) -> str:
        """Say a span with its largest unit."""
        units = ((86_400, " d", " 日"), (3_600, " h", " 時間"), (60, " min", " 分"))
        for size, english, japanese in units:
            if seconds >= size:
                return f"{seconds / size:.3g}{(english, japanese)[self._column]}"
        return f"{seconds:.0f}{(' s', ' 秒')[self._column]}"


def language_of(asked: str | None, accept_language: str | None) -> str:
    """Choose: the address, then the browser's first language."""
    first = asked or (accept_language or "").split(",")[0]
    return "ja" if first.strip().lower().startswith("ja") else "en"


def ratio(value: float | None) -> str:
    """Say a share in percent."""
    return DASH if value is None else f"{value * 100:.2f} %"


def milliseconds(value: float | None) -> str:
    """Say a latency."""
    if value is None:
        return DASH
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.1f} ms"  # noqa: PLR2004 - a second


def number(value: float | None) -> str:
    """Say a number."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if abs(value) >= _MANY or value == int(value) else f"{value:.2f}"


def by_metric(value: float | None, metric: str | None, basis: str | None) -> str:
    """Say a gate's figure in its unit."""
    if value is None or metric is None:
        return DASH
    if basis == "ratio_to_old":
        return f"{value:.2f} x"
    if basis == "excess_over_old":
        return f"{value * 100:+.2f} pt"
    if metric.endswith("_to_old"):
        return f"{value:.2f} x"
    if metric == "sync_seconds_per_1000":
        return f"{value:,.1f} s"
    sayings = {"ratio": ratio, "ms": milliseconds}
    return sayings.get(metric.rpartition("_")[2], number)(value)
