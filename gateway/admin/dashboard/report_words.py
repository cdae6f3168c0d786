"""What the report pages say, in the operators' two languages; the rest is in `words`."""

from __future__ import annotations

from typing import Final

from gateway.admin.dashboard.words import Words

REPORT_WORDS: Final[dict[str, tuple[str, str]]] = {
    "latest": ("Latest", "最新"),
    "earlier": ("Earlier", "前の期間"),
    "later": ("Later", "次の期間"),
    "made": ("made", "作成"),
    "before": ("before", "前の期間"),
    "below": ("beneath: the period before", "下段は前の期間"),
    "known_part": ("of which is known", "記録があるのは"),
    "nothing_before": (
        "nothing is known of the period before",
        "前の期間の記録はありません",
    ),
    "unknown": ("unknown", "不明"),
    "none": ("none", "なし"),
    "gaps": ("Nothing is known of", "記録がない時間"),
    "stood": ("Rollout at the end", "期間末のロールアウト"),
    "rollbacks": ("Rollbacks", "切り戻し"),
    "figures": ("Requests and syncs", "リクエストと同期"),
    "whole": ("both", "合計"),
    "requests": ("Requests", "リクエスト"),
    "success_ratio": ("Success rate", "成功率"),
    "errors": ("Errors", "エラー"),
    "error_ratio": ("Error rate", "エラー率"),
    "rejected": ("Refused (4xx)", "拒否 (4xx)"),
    "latency_p50_ms": ("Time, median", "応答時間 中央値"),
    "latency_p95_ms": ("Time, 95 %", "応答時間 95 %"),
    "latency_p99_ms": ("Time, 99 %", "応答時間 99 %"),
    "syncs": ("Syncs", "同期回数"),
    "listings_synced": ("Listings synced", "同期した物件"),
    "sync_seconds_per_1000": ("Per 1,000 listings, median", "千件毎 中央値"),
    "sync_seconds_per_1000_p95": ("Per 1,000 listings, 95 %", "千件毎 95 %"),
    "resources": ("Resources", "リソース"),
    "average": ("average", "平均"),
    "most": ("highest", "最大"),
    "cpu_ratio": ("CPU", "CPU"),
    "memory_ratio": ("Memory", "メモリ"),
    "disk_ratio": ("Disk", "ディスク"),
    "network_ratio": ("Network", "ネットワーク"),
    "database_load_ratio": ("Database", "データベース"),
    "api_usage_ratio": ("API use", "API使用率"),
    "report_alerts": ("Alerts", "アラート"),
    "raised": ("raised", "発生"),
    "acknowledged": ("taken", "対応"),
    "answer_median": ("answered after (median)", "対応まで(中央値)"),
    "longest": ("longest", "最長"),
    "lasted": ("lasted", "継続"),
    "still": ("still open", "継続中"),
    "taken": ("taken by", "対応者"),
    "nobody": ("nobody", "未対応"),
    "more": ("more", "件 (他)"),
    "at_least": ("at least", "少なくとも"),
    "report_decisions": ("Decisions", "判断"),
    "opened": ("left to people", "人に委ねた判断"),
    "differences": ("Differences", "差異"),
    "match_rate": ("Match rate", "一致率"),
    "of_listings": ("of {listings} listings compared", "比較した物件 {listings} 件中"),
    "at_least_rate": ("at least", "下限"),
    "past": ("Only of the present; see the dashboard.", "現在分のみ表示できます。"),
    "user_reports": ("User reports", "ユーザー報告"),
    "serious": ("serious", "重大"),
    "minor": ("minor", "軽微"),
    "system_down": ("System down", "システム停止"),
}


class ReportWords(Words):
    """The words of reports first, then those of the dashboard."""

    def __call__(self, key: str) -> str:
        """Say it."""
        pair = REPORT_WORDS.get(key)
        return pair[self.language == "ja"] if pair else super().__call__(key)
