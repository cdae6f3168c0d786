"""Every sentence the analysis and the rollout can say: key -> (English, Japanese).

`{metric}` is the label of the metric the note speaks of; other figures are shown in its unit.
"""

# ruff: noqa: E501 - a sentence is read whole, on one line

from __future__ import annotations

from typing import Final

METRIC_LABELS: Final[dict[str, tuple[str, str]]] = {
    "error_ratio": ("error rate", "エラー率"),
    "success_ratio": ("success rate", "成功率"),
    "rejected_ratio": ("share of 4xx answers", "4xx 応答の割合"),
    "latency_p95_ms": ("95th percentile of latency (ms)", "応答時間の95パーセンタイル(ms)"),
    "sync_seconds_per_1000": ("sync time per 1,000 listings (s)", "1,000件あたりの同期時間(秒)"),
    "listings_synced": ("number of listings synced", "同期件数"),
    "match_ratio": ("match rate", "一致率"),
    "compared_ratio": ("comparison coverage", "比較の網羅率"),
    "sync_time_to_old": ("relative sync time (old = 1)", "相対同期時間(旧=1)"),
    "api_usage_ratio": ("API usage", "API使用率"),
    "cpu_ratio": ("CPU use", "CPU使用率"),
    "memory_ratio": ("memory use", "メモリ使用率"),
    "disk_ratio": ("disk use", "ディスク使用率"),
    "network_ratio": ("network use", "ネットワーク使用率"),
    "database_load_ratio": ("database load", "データベース負荷"),
    "integrity_mismatches": ("number of integrity mismatches", "整合性の不一致件数"),
    "data_loss": ("data loss", "データ損失"),
    "system_down": ("system down", "システム停止"),
    "security_breach": ("security breach", "セキュリティ侵害"),
    "user_reports": ("number of user reports", "ユーザーからの報告件数"),
    "serious_user_reports": ("number of serious user reports", "重大なユーザー報告件数"),
}

SOURCE_LABELS: Final[dict[str, tuple[str, str]]] = {"old and new": ("old and new", "新旧")}
"""Who says a figure, where that is no system and no name."""

RATIO_METRICS: Final[frozenset[str]] = frozenset(
    name for name in METRIC_LABELS if name.endswith("_ratio")
)

_FIGURES: Final[dict[str, tuple[str, str]]] = {
    "no_reading": (
        "No worker reported the {metric} of {system}: unknown never counts as good.",
        "{system} の{metric}をどのワーカーも報告していません。不明は良好とみなしません。",
    ),
    "no_measurement": (
        "Nobody reports the {metric}: unknown never counts as good.",
        "{metric}が報告されていません。不明は良好とみなしません。",
    ),
    "nothing_compared": (
        "Nothing was compared yet, so the {metric} is not known.",
        "まだ比較結果がないため{metric}は不明です。",
    ),
    "mirror_off": (
        "Writes are not mirrored, so the {metric} is not known: {why}.",
        "書き込みがミラーされていないため{metric}は不明です: {why}",
    ),
    "not_a_number": (
        "The {metric} of {system} came as something that is no number.",
        "{system} の{metric}が数値ではありません。",
    ),
    "stale": (
        "The {metric} of {system} is {age_s} old; {limit_s} is the limit.",
        "{system} の{metric}は {age_s}前の値です(上限 {limit_s})。",
    ),
    "from_the_future": (
        "The {metric} of {system} claims to be from the future: check that machine's clock.",
        "{system} の{metric}の時刻が未来です。時計を確認してください。",
    ),
    "sample_short": (
        "Too little was seen to judge the {metric} of {system}: {sample} of {wanted} needed.",
        "{system} の{metric}を判断するには件数が足りません({wanted} 件中 {sample} 件)。",
    ),
    "old_is_zero": (
        "Old's {metric} is zero, so there is nothing to compare new with.",
        "旧システムの{metric}がゼロのため比較できません。",
    ),
}


def _gate(basis: str, english: str, japanese: str) -> dict[str, tuple[str, str]]:
    """Make the sentences of gates and triggers on one basis: they differ in what follows."""
    asked = (
        ", asked is {comparison} {threshold} (sample {sample})",
        "(基準 {comparison} {threshold}、標本 {sample})",
    )
    limit = (
        "; the limit is {threshold} (sample {sample}",
        "(上限 {threshold}、標本 {sample})",
    )
    return {
        f"gate_pass_{basis}": (
            f"{english}{asked[0]}: passes.",
            f"{japanese}{asked[1]}。合格です。",
        ),
        f"gate_fail_{basis}": (
            f"{english}{asked[0]}: does not pass.",
            f"{japanese}{asked[1]}。不合格です。",
        ),
        f"trigger_{basis}": (
            f"{english}{limit[0]}, held for {{for_s}}).",
            f"{japanese}{limit[1]}。継続時間 {{for_s}}。",
        ),
    }


_GATES: Final = (
    _gate("value", "The {metric} of new is {value}", "新システムの{metric}は {value}")
    | _gate(
        "least",
        "The {metric} of new is at least {value} with {confidence} confidence",
        "新システムの{metric}は信頼度 {confidence} で少なくとも {value}",
    )
    | _gate(
        "most",
        "The {metric} of new is at most {value} with {confidence} confidence",
        "新システムの{metric}は信頼度 {confidence} で最大 {value}",
    )
    | _gate(
        "ratio_to_old",
        "The {metric} of new is {value} times old's",
        "新システムの{metric}は旧の {value} 倍",
    )
    | _gate(
        "excess_over_old",
        "The {metric} of new exceeds old's by {value}",
        "新システムの{metric}は旧を {value} 超過",
    )
)

_FINDINGS: Final[dict[str, tuple[str, str]]] = {
    "rate_canary": (
        "New fails {value} of its requests ({errors} of {sample} since the trouble began, limit {threshold}) while old failed {old_errors} of {old_sample} over the same seconds.",
        "新システムのエラー率は {value}(発生以降 {sample} 件中 {errors} 件、上限 {threshold})。同じ時間に旧システムは {old_sample} 件中 {old_errors} 件でした。",
    ),
    "rate_undecided": (
        "New fails {value} of its requests ({errors} of {sample}); old has answered too little in the same seconds to tell whose fault it is, so we wait for its answers.",
        "新システムのエラー率は {value}({sample} 件中 {errors} 件)。旧システムの応答が少なく、原因の切り分けを待っています。",
    ),
    "rate_baseline": (
        "Both fail, old more than new ({errors} of {sample} at new, {old_errors} of {old_sample} at old): traffic stays where it is.",
        "両方が失敗していますが旧の方が悪い状態です(新 {sample} 件中 {errors} 件、旧 {old_sample} 件中 {old_errors} 件)。トラフィックは動かしません。",
    ),
    "shared": (
        "Both systems fail alike, so the cause is something they share: the weight holds, nobody is blamed.",
        "両システムが同様に失敗しており、共通の原因と考えられます。比率は維持します。",
    ),
    "down_by_probe": (
        "New is down: its last {failures} health probes failed while old is well.",
        "新システムが停止しています(ヘルスチェック {failures} 回連続失敗、旧システムは正常)。",
    ),
    "down_by_breaker": (
        "New is down: most circuit breakers opened on it while old is well.",
        "新システムが停止しています(過半数のサーキットブレーカーが開放、旧システムは正常)。",
    ),
    "down_by_word": (
        "New was reported down from outside while old is well.",
        "新システムの停止が外部から報告されました(旧システムは正常)。",
    ),
    "probe_disagrees": (
        "New's health probe fails but its traffic is clean: somebody should look, nothing moves.",
        "新システムのヘルスチェックは失敗していますが通信は正常です。確認が必要です。",
    ),
    "one_breaker": (
        "The circuit breaker on new is open in {open} of {fleet} replicas (first: {replica}): one replica alone moves nothing.",
        "新システムへのサーキットブレーカーが {fleet} 台中 {open} 台で開いています({replica})。一部だけでは切り戻しません。",
    ),
    "replica_unknown": (
        "What {replica} sees is unknown (silent, or unable to take part): while that lasts nothing is promoted.",
        "レプリカ {replica} の状況が不明です(応答なし、または参加できない状態)。判明するまで昇格しません。",
    ),
    "store_late": (
        "The fleet's store takes {late_ms} ms to answer: what is known of the others is late, so nothing is promoted.",
        "共有ストアの応答に {late_ms} ミリ秒かかっています。他のレプリカの状況が遅れて届くため、昇格しません。",
    ),
    "old_failing": (
        "Old fails {value} of its requests (sample {sample}, limit {threshold}); new does not.",
        "旧システムのエラー率は {value} です(標本 {sample}、上限 {threshold})。新システムは正常です。",
    ),
    "old_down": (
        "Old is down: taking traffic back would make it worse.",
        "旧システムが停止しています。切り戻すと悪化します。",
    ),
    "standby_down": (
        "Old stands by but is down: there is no way back until it is repaired.",
        "待機中の旧システムが停止しています。復旧するまで切り戻せません。",
    ),
    "standby_unknown": (
        "Old stands by but nobody knows whether it is well: its probe is silent.",
        "待機中の旧システムの状態が不明です(ヘルスチェックの応答なし)。",
    ),
}

_STATES: Final[dict[str, tuple[str, str]]] = {
    "idle": (
        "Nothing has been started: all traffic goes to old.",
        "未開始です。すべて旧システムが処理しています。",
    ),
    "started": (
        "The rollout began with phase {phase} at {weight_bp}.",
        "{phase} フェーズ({weight_bp})でロールアウトを開始しました。",
    ),
    "promoted": (
        "Phase {phase} began: every gate of {before} passed and it baked for {baked_s}.",
        "{before} の全ゲートに合格し({baked_s}安定)、{phase} フェーズに進みました。",
    ),
    "promoted_by_force": (
        "Phase {phase} began although {failing} gates of {before} did not pass: {actor} forced it.",
        "{before} の {failing} ゲートが不合格のまま、{actor} が {phase} フェーズへ強制的に進めました。",
    ),
    "completed": (
        "The migration is complete: new carries all traffic.",
        "移行が完了しました。すべて新システムが処理しています。",
    ),
    "paused": (
        "Paused by {actor} at {weight_bp}; the guard stays on.",
        "{actor} が {weight_bp} で一時停止しました。監視は継続中です。",
    ),
    "goes_back_unless_held": (
        "All traffic goes back in {deadline_s} unless somebody holds it: {why}",
        "誰かが保留しない限り {deadline_s} 後にすべて旧システムへ戻します: {why_ja}",
    ),
    "paused_for_decision": (
        "Promotion waits for a person: {why}",
        "担当者の判断待ちです: {why_ja}",
    ),
    "resumed": (
        "Running again in phase {phase} at {weight_bp}.",
        "{phase} フェーズを {weight_bp} で再開しました。",
    ),
    "resumed_at_zero": (
        "Running again in phase {phase} at 0 %: traffic returns when somebody sets a weight.",
        "{phase} フェーズを 0 % で再開しました。比率を設定するとトラフィックが戻ります。",
    ),
    "weight_set": (
        "{actor} set the weight of new to {weight_bp} ({access}).",
        "{actor} が新システムの比率を {weight_bp} に設定しました({access})。",
    ),
    "rolled_back": (
        "All traffic is back on old: {why}",
        "すべて旧システムに切り戻しました: {why_ja}",
    ),
    "rolled_back_by_person": (
        "All traffic is back on old: {actor} rolled back.",
        "{actor} がすべて旧システムに切り戻しました。",
    ),
    "rolled_back_by_deadline": (
        "All traffic is back on old: nobody answered decision {decision} in time. {why}",
        "判断 {decision} の期限切れにより旧システムに切り戻しました: {why_ja}",
    ),
    "held_back": (
        "Traffic stays although the deadline of decision {decision} passed: old cannot take it back.",
        "判断 {decision} の期限を過ぎましたが、旧システムが受けられないため維持しています。",
    ),
    "stopped": (
        "Emergency stop by {actor}: new gets nothing, forced requests included.",
        "{actor} が緊急停止しました。新システムには一切送りません。",
    ),
    "released": (
        "{actor} released the emergency stop; the weight stays 0 % until somebody sets one.",
        "{actor} が緊急停止を解除しました。比率は設定されるまで 0 % です。",
    ),
    "left_rollback": (
        "{actor} left the rollback; nothing was ever started, so the gateway is idle.",
        "{actor} が切り戻し状態を解除しました。未開始のため待機中です。",
    ),
    "decision_held": (
        "{actor} holds decision {decision}: traffic stays although {why}",
        "{actor} が判断 {decision} を保留しました: {why_ja}",
    ),
    "waiting": (
        "Every gate of {phase} passes and it has baked: a person may promote.",
        "{phase} の全ゲートに合格しました。次のフェーズに進められます。",
    ),
    "quiet_again": (
        "The trouble is over: {why}",
        "解消しました: {why_ja}",
    ),
    "escalated": (
        "Decision {decision} still waits for an answer (level {level}): {why}",
        "判断 {decision} への回答がありません(レベル {level}): {why_ja}",
    ),
    "baking": (
        "{baked_s} of {bake_s} healthy time in this phase.",
        "このフェーズの安定稼働時間は {bake_s}中 {baked_s}です。",
    ),
    "baked": (
        "The phase was healthy for the {bake_s} it asks for.",
        "必要な安定稼働時間 {bake_s}を満たしました。",
    ),
    "below_phase_weight": (
        "The weight {weight_bp} is below the phase's {phase_bp}: this time does not count as baked.",
        "比率 {weight_bp} はフェーズの {phase_bp} を下回るため、安定稼働時間に数えません。",
    ),
    "frozen": (
        "The freeze '{freeze}' is on: nothing is promoted now.",
        "変更凍結「{freeze}」の期間中です。",
    ),
    "decision_open": (
        "Decision {decision} is open: {why}",
        "判断 {decision} が未回答です: {why_ja}",
    ),
    "finding_stands": ("{why}", "{why_ja}"),
    "no_judgement": (
        "Nothing was judged yet, and unknown never promotes.",
        "まだ判定がありません。不明のままでは進めません。",
    ),
}

_REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "refused_status": (
        "'{order}' does not fit, the rollout is: {status}.",
        "現在の状態({status_ja})では '{order}' はできません。",
    ),
    "refused_gates": (
        "Phase {phase} is not done: {names} did not pass.",
        "{phase} フェーズは未完了です({names} が不合格)。",
    ),
    "refused_weight": (
        "A weight is 0 to 100 percent in steps of 0.01.",
        "比率は 0〜100 %、0.01 刻みです。",
    ),
    "refused_no_decision": (
        "There is no such open decision.",
        "該当する未回答の判断はありません。",
    ),
    "refused_reason": ("A reason is required.", "理由が必要です。"),
    "refused_decision_open": (
        "Decision {decision} rolls back at its deadline; it must be answered first: {why}",
        "判断 {decision} は期限で切り戻します。先に回答してください: {why_ja}",
    ),
    "remedy_start": ("Run `syncgate start`.", "`syncgate start` を実行してください。"),
    "remedy_resume": (
        "It is under way: run `syncgate resume` to go on.",
        "進行中です。再開するには `syncgate resume` を実行してください。",
    ),
    "remedy_leave": (
        "Once new is well, run `syncgate resume` to go on, or `syncgate start` to begin afresh.",
        "新システムの復旧を確認後、`syncgate resume` で続行するか、`syncgate start` で最初から始めてください。",
    ),
    "remedy_release": (
        "Once new is well, run `syncgate release` first.",
        "新システムの復旧を確認後、先に `syncgate release` を実行してください。",
    ),
    "remedy_watch": (
        "It runs already: `syncgate status` shows what it waits for.",
        "すでに進行中です。何を待っているかは `syncgate status` で確認できます。",
    ),
    "remedy_roll_back": (
        "New carries all traffic: only `syncgate rollback` takes it back.",
        "すべて新システムが処理しています。戻すには `syncgate rollback` を実行してください。",
    ),
    "remedy_wait_or_force": (
        "Wait until they pass, or promote with --force and a reason (admin scope).",
        "合格を待つか、理由を添えて --force(admin 権限)で進めてください。",
    ),
    "remedy_hold": (
        "Hold the open decision with a reason, or run `syncgate rollback`.",
        "未回答の判断を理由を添えて保留するか、`syncgate rollback` を実行してください。",
    ),
    "remedy_nothing": ("Nothing needs to be done.", "必要な操作はありません。"),
    "remedy_weight": (
        "Give a number such as 25 or 0.5.",
        "25 や 0.5 のような数値を指定してください。",
    ),
    "remedy_reason": ("Say why with --reason.", "--reason で理由を指定してください。"),
}

CATALOGUE: Final[dict[str, tuple[str, str]]] = {
    **_FIGURES, **_GATES, **_FINDINGS, **_STATES, **_REFUSALS,
}  # fmt: skip
