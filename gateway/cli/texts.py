"""
Every sentence the command says, in the operators' two languages: key -> (English, Japanese).

Single words that stand on the dashboard too are in `gateway.core.vocabulary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from gateway.cli.data_texts import DATA_TEXTS
from gateway.cli.doctor_texts import DOCTOR_TEXTS
from gateway.core.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["en", "ja"]

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # the state
    "away": ("NO ANSWER", "応答なし"),
    "alerts": ("Alerts", "アラート"),
    "alerts_unknown": ("not known now: `syncgate alerts`", "取得できません: `syncgate alerts`"),
    "alert_taken": ("taken by {who}", "{who} が対応中"),
    "phase": ("phase {number} of {count} · {title}", "フェーズ {number}/{count}・{title}"),
    "not_started": ("not started", "未開始"),
    "to_new": ("to new", "新へ"),
    "why": ("Why", "理由"),
    "do": ("Do", "次に"),
    "nothing_to_do": ("nothing now", "今は操作不要"),
    "once_well": ("{command} once new is well", "新の復旧後に {command}"),
    "waits_for": ("waits for {names}", "待ち: {names}"),
    "bake_left": ("{span} of healthy time left", "健全な稼働 残り {span}"),
    "next_phase": ("then {phase}", "次は {phase}"),
    "mirror": ("mirroring to {to}", "{to} へミラー中"),
    "dry_run": ("dry run", "ドライラン"),
    # the table of systems
    "last_seconds": ("last {span}", "直近 {span}"),
    "rejected": ("4xx", "4xx"),
    "per_1000": ("per 1000", "千件毎"),
    "unprobed": ("-", "-"),
    "closed": ("closed", "閉"),
    "open": ("OPEN", "開"),
    "half_open": ("half-open", "半開"),
    "isolated": ("isolated", "隔離"),
    # the fleet
    "fleet": ("Fleet", "フリート"),
    "replica_state": ("state", "状態"),
    "replica_version": ("version", "版"),
    "replica_share": ("share", "割合"),
    "replica_reporting": ("reporting", "報告中"),
    "replica_silent": ("SILENT", "応答なし"),
    "replica_holding": ("HOLDING", "保留中"),
    "replica_decides": ("decides", "判断役"),
    "heard": ("heard", "受信"),
    "here": ("here", "これ"),
    "fleet_lost": (
        "{store} cannot be reached: nothing is promoted, rollback and stop work.",
        "{store} に到達できません。昇格は行われません(切り戻しと緊急停止は可能)。",
    ),
    "confirmed": ("Confirmed after {seconds} s: {names}", "確認済み({seconds} 秒): {names}"),
    "not_confirmed": (
        "NOT CONFIRMED, look after them: {names}",
        "未確認(直接ご確認ください): {names}",
    ),
    # sections
    "no_gates": ("none in this phase", "このフェーズにはありません"),
    "fired": ("FIRED", "成立"),
    "estimate": ("{rate} ({low}-{high}) of {sample}", "{rate}({low}〜{high})/{sample} 件"),
    "no_sign": ("no sign", "兆候なし"),
    "decisions": ("Decisions", "判断待ち"),
    "time_left": ("{span} left", "残り {span}"),
    "rolls_back_in": ("rolls back in {span}", "{span} 後に自動切り戻し"),
    "escalates_in": ("escalates in {span}", "{span} 後に上申"),
    "held": ("held by {who}: {why}", "{who} が保留: {why}"),
    "resources": ("Machine", "資源"),
    "cpu_ratio": ("CPU", "CPU"),
    "memory_ratio": ("memory", "メモリ"),
    "disk_ratio": ("disk", "ディスク"),
    "network_ratio": ("network", "ネットワーク"),
    "database_load_ratio": ("database", "DB"),
    "api_usage_ratio": ("API use", "API 使用"),
    "more": ("… {count} more", "… 他 {count} 件"),
    "store_down": (
        "The state cannot be written: nothing will be changed until it can.",
        "状態を書き込めません。復旧まで変更は行われません。",
    ),
    "gone": (
        "The gateway has not answered since {at} ({span}): {cause}. Showing what was last known.",
        "{at} から応答がありません({span}): {cause}。最後に得た状態を表示しています。",
    ),
    "watching": (
        "Ctrl-C ends watching; nothing is stopped by it.",
        "Ctrl-C で表示を終了します。ゲートウェイは止まりません。",
    ),
    "trying": (
        "Waiting for the gateway at {url} ({cause})",
        "{url} のゲートウェイを待っています({cause})",
    ),
    # orders
    "done": ("Done.", "完了しました。"),
    "would_do": ("Would do (nothing was changed): {what}", "実行内容(変更していません): {what}"),
    "would_refuse": (
        "Would be refused (nothing was changed): {what}",
        "拒否されます(変更していません): {what}",
    ),
    "would_misfit": (
        "'{order}' does not fit, the rollout is: {status}.",
        "現在の状態({status})では '{order}' はできません。",
    ),
    "would_wait": ("these do not pass yet:", "次のゲートがまだ合格していません:"),
    "would_decision": (
        "decision {id} must be answered first.",
        "先に判断 {id} に回答してください。",
    ),
    "no_decision": ("decision {id} does not wait.", "判断 {id} は未回答ではありません。"),
    "order_start": ("start the rollout in its first phase", "最初のフェーズでロールアウトを開始"),
    "order_promote": ("go on to the next phase: {phase}", "次のフェーズへ進む: {phase}"),
    "order_promote_force": (
        "go on to the next phase ALTHOUGH gates do not pass: {phase}",
        "ゲート不合格のまま次のフェーズへ強制的に進む: {phase}",
    ),
    "order_pause": (
        "keep the weight and stop the phase's clock",
        "重みを保ち、フェーズの時計を止める",
    ),
    "order_resume": ("go on", "再開する"),
    "order_weight": (
        "send {percent} % to the new system (now {now} %)",
        "新システムへ {percent} % を送る(現在 {now} %)",
    ),
    "order_rollback": (
        "take all traffic back to the old system",
        "全トラフィックを旧システムへ戻す",
    ),
    "order_stop": (
        "stop the new system at once; only `syncgate release` leads out",
        "新システムを直ちに止める(解除は `syncgate release` のみ)",
    ),
    "order_release": ("leave the emergency stop, at weight 0", "緊急停止を解除する(重みは 0)"),
    "order_hold": (
        "keep decision {id} from acting at its deadline",
        "判断 {id} の期限時の自動実行を止める",
    ),
    "send_tests": (
        "Send a test message through {names}?",
        "{names} でテスト送信しますか?",
    ),
    "sure": ("Really {what}?", "本当に実行しますか: {what}"),
    "aborted": ("Nothing was changed.", "何も変更していません。"),
    "ask_reason": ("Reason (kept in the audit)", "理由(監査記録に残ります)"),
    # refusals
    "refused": ("Refused: {detail}", "拒否されました: {detail}"),
    "fix": ("What to do: {fix}", "対処: {fix}"),
    "need_reason": (
        'A reason is needed: add --reason "why". It is kept in the audit.',
        '理由が必要です。--reason "理由" を付けてください。監査記録に残ります。',
    ),
    "need_yes": (
        "This asks for confirmation and there is no terminal to ask on: add --yes if you mean it.",
        "確認が必要ですが端末がありません。意図した操作なら --yes を付けてください。",
    ),
    "bad_percent": (
        "{value!r} is not a weight: give 0 to 100 in steps of 0.01, such as 25 or 12.5.",
        "{value!r} は重みではありません。0〜100 を 0.01 刻みで指定してください(例: 25、12.5)。",
    ),
    "unreachable": (
        "Cannot reach the gateway at {url}: {cause}.",
        "{url} のゲートウェイに接続できません: {cause}。",
    ),
    "unreachable_fix": (
        "Is it running (`syncgate serve`)? Address from: {source}; another with --url.",
        "起動していますか(`syncgate serve`)。接続先の出所: {source}。変更は --url で。",
    ),
    "not_admin_fix": (
        "Is {url} the admin port (not the data port)? Address from: {source}; another with --url.",
        "{url} は管理ポートですか(データポートではなく)。接続先の出所: {source}。変更は --url で。",
    ),
    "usage_fix": ("`{command}` shows how it is used.", "使い方は `{command}` で確認できます。"),
    "no_token_fix": (
        "Give a token with --token or GATEWAY_TOKEN.",
        "--token または GATEWAY_TOKEN でトークンを指定してください。",
    ),
    # audit
    "audit_empty": ("Nothing has been changed yet.", "変更はまだありません。"),
    "audit_intact": (
        "The audit is whole: {entries} entries, chain head {head}.",
        "監査記録は完全です: {entries} 件、連鎖の先頭 {head}。",
    ),
    "audit_broken": (
        "The audit was tampered with or damaged:",
        "監査記録が改ざんまたは破損しています:",
    ),
    "audit_broken_fix": (
        "Keep the state directory as it is and compare it with a backup.",
        "状態ディレクトリをそのまま保全し、バックアップと照合してください。",
    ),
    "scenarios": ("Scenarios:", "シナリオ:"),
    "looks": ("{count} looks", "評価 {count} 回"),
    "unmet": ("not as expected: {what}", "期待と異なります: {what}"),
    "replayed": (
        "{count} decisions taken again, {different} would differ.",
        "{count} 件の判断を再現し、{different} 件が異なります。",
    ),
    "not_decisions": (
        "{name} holds no stored decisions: {cause}",
        "{name} に保存された判断がありません: {cause}",
    ),
    "no_database": ("DATABASE_URL is not set.", "DATABASE_URL が設定されていません。"),
    "no_database_fix": (
        "Set DATABASE_URL (postgresql://user@host/name) or give --database-url.",
        "DATABASE_URL(postgresql://user@host/name)を設定するか --database-url を指定してください。",
    ),
    "migrated": (
        "The database is up to date: {applied} applied, {already} already there.",
        "データベースは最新です: 適用 {applied} 件、適用済み {already} 件。",
    ),
    "migrate_would": ("Would apply: {names}", "適用予定: {names}"),
    "migrated_back": ("Undone: {names}", "取り消しました: {names}"),
    "migrate_would_back": ("Would undo: {names}", "取り消し予定: {names}"),
    "order_migrate_back": (
        "undo all migrations after {name}, with the data in their tables",
        "{name} より後の移行をデータごと取り消す",
    ),
    "feed_failures": (
        "{count} rows of the feed are no listings; they are not compared.",
        "フィードの {count} 行は物件として読めないため比較しません。",
    ),
    "verify_whole": ("The data is whole.", "データは完全です。"),
    "verify_broken": ("{count} mismatches.", "不一致 {count} 件。"),
    "verify_rows": (
        "rows {count} (last written by: {per_system})",
        "行数 {count}(最終書込: {per_system})",
    ),
    "verify_journal": (
        "journal: {entries} entries, {gaps} gaps",
        "ジャーナル: {entries} 件、欠落 {gaps} 件",
    ),
    "duplicates": ("duplicates", "重複"),
    "missing": ("missing", "欠落"),
    "extra": ("extra", "余剰"),
    "different": ("different", "相違"),
    "against_journal": ("against the journal", "ジャーナルとの照合"),
    "against_feed": ("against the feed", "フィードとの照合"),
    "none": ("none", "なし"),
    "at": ("at", "日時"),
    "who": ("who", "実行者"),
    "did": ("did", "操作"),
    "from": ("from", "接続元"),
    "reason": ("reason", "理由"),
    # alerts
    "alerts_none": ("Nothing is wrong now.", "現在、異常はありません。"),
    "alerts_none_matching": (
        "Nothing is open, so nothing matches.",
        "未解消のアラートはなく、該当するものもありません。",
    ),
    "alerts_others": (
        "Nothing matches; open besides: {count} (see `syncgate alerts`).",
        "該当するものはありません。他に {count} 件が未解消です(`syncgate alerts`)。",
    ),
    "alerts_recent": ("Over lately:", "最近解消したもの:"),
    "alerts_lasted": ("lasted {span}", "継続 {span}"),
    "alerts_since": ("since {at} UTC ({span})", "{at} UTC から({span})"),
    "alerts_taken": ("taken by {who}: {reason}", "対応中 {who}: {reason}"),
    "alerts_asked": ("asked now: {names}", "担当: {names}"),
    "alerts_until": (", answer by {at} UTC", "、回答期限 {at} UTC"),
    "alerts_silenced": ("silenced: nobody is told", "抑止中(通知なし)"),
    "alerts_unstored": (
        "The alerts cannot be stored at the moment; they are told from memory.",
        "アラートを保存できません。メモリから通知しています。",
    ),
    "acked": ("Alert {id} is yours: {title}", "アラート {id} を引き受けました: {title}"),
    "would_ack": ("answer for alert {id}", "アラート {id} を引き受ける"),
    "silence": ("silence", "抑止"),
    "everything": ("everything", "すべて"),
    "silence_until": ("until {at} UTC", "{at} UTC まで"),
    "silences_none": ("Nothing is silenced.", "抑止はありません。"),
    "silenced": (
        "Silence {id}: nothing is told of {rule} until {at} UTC.",
        "抑止 {id}: {at} UTC まで {rule} を通知しません。",
    ),
    "would_silence": ("tell nothing of {rule} for {span}", "{span} の間 {rule} を通知しない"),
    "lifted": ("Silence {id} has ended.", "抑止 {id} を終了しました。"),
    "would_lift": ("end silence {id}", "抑止 {id} を終了する"),
    "bad_span": (
        "'{value}' is no span: give 45m, 2h or 1d.",
        "'{value}' は期間ではありません。45m、2h、1d のように指定してください。",
    ),
    "messages_none": ("Nothing was sent yet.", "送信したメッセージはありません。"),
    "message_waiting": ("waiting", "送信待ち"),
    "message_delivered": ("delivered", "送信済み"),
    "message_dead": ("given up", "送信断念"),
    "message_again": ("Message {id} is sent again.", "メッセージ {id} を再送します。"),
    "reloaded": ("In force: {policy}, and alerts.", "適用しました: {policy}、アラート設定"),
    "would_reload": ("read policy and alerts again", "ポリシーとアラート設定を再読み込みする"),
}


def pick_language(asked: str | None, environment: Mapping[str, str]) -> Language:
    """Choose: the command line, GATEWAY_LANG, then the locale; English when in doubt."""
    for name in (
        asked,
        *(environment.get(key) for key in ("GATEWAY_LANG", "LC_ALL", "LC_MESSAGES", "LANG")),
    ):
        if name:
            return "ja" if name.lower().startswith("ja") else "en"
    return "en"


_ALL: Final = VOCABULARY | DOCTOR_TEXTS | DATA_TEXTS | TEXTS


class Texts:
    """The sentences in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._column = 1 if language == "ja" else 0

    def __call__(self, key: str, **values: object) -> str:
        """Say it; a key nobody wrote a sentence for is shown as it is."""
        pair = _ALL.get(key)
        return pair[self._column].format(**values) if pair else key.replace("_", " ")

    def span(self, seconds: float) -> str:
        """Say a span with its two largest units: `2 d 3 h`, `4 min 10 s`."""
        units = (("d", "日", 86_400), ("h", "時間", 3_600), ("min", "分", 60), ("s", "秒", 1))
        left = max(0, round(seconds))
        parts: list[str] = []
        for english, japanese, size in units:
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count} {(english, japanese)[self._column]}")
            if len(parts) == 2 or (parts and not count):  # noqa: PLR2004 - two units tell enough
                break
        return " ".join(parts) or f"0 {('s', '秒')[self._column]}"
