"""
One word for one thing, in the operators' two languages, wherever it is shown.

What the API answers with a key (a status, a verdict, a kind of difference) and what every view of
the rollout has a heading for is named here, once, for the page and for the command line. A kind, a
cause and the verdict on a difference bear a prefix: some of them are spelled alike. How a view puts
it (in capitals, in a sentence, in a narrow column) is that view's own; sentences about decisions
are in the catalogues of `analysis` and `alerts`.
"""

from __future__ import annotations

from typing import Final

_ROLLOUT: Final[dict[str, tuple[str, str]]] = {
    "idle": ("Idle", "待機中"),
    "running": ("Running", "進行中"),
    "paused": ("Paused", "一時停止"),
    "rolled_back": ("Rolled back", "切り戻し済み"),
    "emergency_stopped": ("Emergency stop", "緊急停止"),
    "completed": ("Completed", "完了"),
    "reads_to_new": ("reads to new", "読取を新へ"),
    "writes_to_new": ("writes to new", "書込を新へ"),
    "by_hand": ("set by hand", "手動設定"),
    "events": ("Events", "出来事"),
    "critical": ("critical", "重大"),
    "high": ("high", "高"),
    "medium": ("medium", "中"),
    "low": ("low", "低"),
}
_SYSTEMS: Final[dict[str, tuple[str, str]]] = {
    "systems": ("Systems", "システム"),
    "requests": ("req/s", "件/秒"),
    "errors": ("errors", "エラー率"),
    "health": ("health", "死活"),
    "healthy": ("ok", "正常"),
    "unhealthy": ("down", "異常"),
}
_GATES: Final[dict[str, tuple[str, str]]] = {
    "gates": ("Gates", "ゲート"),
    "verdict": ("verdict", "判定"),
    "pass": ("pass", "合格"),
    "fail": ("fail", "不合格"),
    "inconclusive": ("too little data", "データ不足"),
    "error": ("not measured", "測定不能"),
    "value": ("value", "値"),
    "asked": ("asked", "基準"),
    "sample": ("sample", "標本"),
    "evidence": ("Evidence against new", "新システムに不利な証拠"),
}
_DIFFERENCES: Final[dict[str, tuple[str, str]]] = {
    "nothing_compared": ("Nothing was compared yet.", "まだ比較結果がありません。"),
    "agree": (
        "{rate} of {listings} listings agree (at least {lower} with {confidence} % confidence)",
        "{listings} 件中 {rate} が一致(信頼度 {confidence} % で少なくとも {lower})",
    ),
    "listings": ("listings", "件数"),
    "old_itself": ("old itself", "旧同士"),
    "field": ("field", "項目"),
    "kind": ("kind", "種類"),
    "cause": ("cause", "原因"),
    "verdict_real": ("real", "実質的"),
    "verdict_noise": ("noise", "ノイズ"),
    "verdict_harmless": ("not counted", "対象外"),
    "kind_missing": ("missing", "欠落"),
    "kind_extra": ("extra", "余分"),
    "kind_type": ("type", "型"),
    "kind_value": ("value", "値"),
    "kind_order": ("order", "順序"),
    "kind_format": ("format", "書式"),
    "cause_format_only": ("written differently", "表記のみ"),
    "cause_null_against_absent": ("null against absent", "null と欠落"),
    "cause_precision": ("precision", "精度"),
    "cause_time_zone": ("time zone", "時間帯"),
    "cause_generated": ("made up anew", "自動生成値"),
    "cause_order": ("order", "順序"),
    "cause_real": ("real", "実際の相違"),
    "cause_unreadable": ("cannot be read", "読取不能"),
}
_COPIES: Final[dict[str, tuple[str, str]]] = {
    "copies": ("Copies", "複製"),
    "shadows": ("mirror", "ミラー"),
    "write_backs": ("write-back", "書き戻し"),
    "shadows_done": (
        "{sent} sent, {compared} compared, {held} under way ({bytes})",
        "送信 {sent}、比較 {compared}、処理中 {held} ({bytes})",
    ),
    "shadows_lost": ("lost: {reasons}", "欠落: {reasons}"),
    "write_backs_done": (
        "{agreed} agreed, {failed} failed, {waiting} under way",
        "一致 {agreed}、失敗 {failed}、処理中 {waiting}",
    ),
    "write_backs_repaired": ("{repaired} rows repaired", "修復済み {repaired} 行"),
}
_PACE: Final[dict[str, tuple[str, str]]] = {
    "pace_faster": ("{percent} % faster than old", "旧より {percent} % 速い"),
    "pace_slower": ("{percent} % slower than old", "旧より {percent} % 遅い"),
    "pace_times": ("takes {times} times as long as old", "旧の {times} 倍の時間"),
}
_MANY_TIMES: Final = 10
VOCABULARY: Final[dict[str, tuple[str, str]]] = (
    _ROLLOUT | _SYSTEMS | _GATES | _DIFFERENCES | _COPIES | _PACE
)
"""Key -> (English, Japanese)."""


def pace(improvement_percent: float) -> tuple[str, dict[str, str]]:
    """Give the key of how much faster or slower new is, and its values; a tenfold is no percent."""
    times = 1 - improvement_percent / 100
    if times >= _MANY_TIMES:
        return "pace_times", {"times": f"{times:,.0f}"}
    key = "pace_faster" if improvement_percent >= 0 else "pace_slower"
    return key, {"percent": f"{abs(improvement_percent):.0f}"}
