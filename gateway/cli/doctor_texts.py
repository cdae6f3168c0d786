"""What `syncgate doctor` says. As in `texts`: key -> (English, Japanese)."""

from __future__ import annotations

from typing import Final

DOCTOR_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "dr_gateway": ("The gateway that answers", "応答しているゲートウェイ"),
    "dr_here": (
        "The settings here, for a gateway that would be started with them",
        "ここの設定(この設定で起動する場合)",
    ),
    "dr_runs": (
        "{url} runs: {status}, {percent} % to new",
        "{url} は稼働中: {status}、新へ {percent} %",
    ),
    "dr_token_taken": ("it takes the token given here", "ここのトークンで接続できます"),
    "dr_no_token": (
        "none given here: only looking is possible, from here only",
        "未指定: ここからの閲覧のみ可能です",
    ),
    "dr_no_token_fix": (
        "Give a token of that gateway with --token or GATEWAY_TOKEN to change anything.",
        "変更するには、そのゲートウェイのトークンを --token か GATEWAY_TOKEN で指定してください。",
    ),
    "dr_refused": (
        "{url} runs, but refuses our token",
        "{url} は稼働中ですが、トークンを受け付けません",
    ),
    "dr_refused_fix": (
        "Give a valid token with --token or GATEWAY_TOKEN.",
        "有効なトークンを --token か GATEWAY_TOKEN で指定してください。",
    ),
    "dr_answers": ("{url} answers {status}", "{url} の応答は {status} です"),
    "dr_answers_fix": ("See its log.", "ログを確認してください。"),
    "dr_not_running": ("{url}: {cause}", "{url}: {cause}"),
    "dr_not_running_fix": (
        "Start it with `syncgate serve`; another address with --url.",
        "`syncgate serve` で起動するか、--url で別の接続先を指定してください。",
    ),
    "dr_understood": ("understood", "正しく読み取れました"),
    "dr_settings_fix": (
        "Correct them in the environment or .env.",
        "環境変数または .env を修正してください。",
    ),
    "dr_policy": ("{name}: {count} phases", "{name}: {count} フェーズ"),
    "dr_policy_fix": (
        "Correct the file; `syncgate serve` needs all of it.",
        "ファイルを修正してください。`syncgate serve` にはすべて必要です。",
    ),
    "dr_no_tokens": (
        "none set here: a gateway started so only answers looks, from its own machine",
        "ここでは未設定: この設定で起動すると、そのマシンからの閲覧のみ可能です",
    ),
    "dr_no_tokens_fix": (
        "Set GATEWAY_ADMIN_TOKENS=name:scope:token to be able to change anything.",
        "変更できるようにするには GATEWAY_ADMIN_TOKENS=名前:権限:トークン を設定してください。",
    ),
    "dr_state": ("{path} can be written", "{path} に書き込めます"),
    "dr_no_state": ("{path} cannot be written", "{path} に書き込めません"),
    "dr_state_fix": (
        "Give the user write access to it, or set GATEWAY_STATE_DIR.",
        "書き込み権限を付けるか、GATEWAY_STATE_DIR を設定してください。",
    ),
    "dr_any_port": ("0: a free one will be taken", "0: 空きポートを使います"),
    "dr_port_used": (
        "{where} is in use, and a gateway is running",
        "{where} は使用中です(ゲートウェイが稼働中)",
    ),
    "dr_port_taken": ("{where} cannot be taken: {cause}", "{where} を使えません: {cause}"),
    "dr_port_fix": (
        "Stop what uses it, or set {variable}.",
        "使用中のものを止めるか、{variable} を設定してください。",
    ),
    "dr_port_free": ("{where} is free", "{where} は空いています"),
    "dr_healthy": ("{url} is healthy", "{url} は正常です"),
    "dr_no_service_fix": (
        "Start the {name} service, or set {variable}.",
        "{name} サービスを起動するか、{variable} を設定してください。",
    ),
    "dr_service_fix": (
        "Look at the {name} service's log.",
        "{name} サービスのログを確認してください。",
    ),
    "dr_no_database": ("DATABASE_URL is not set", "DATABASE_URL が未設定です"),
    "dr_no_database_fix": (
        "Only the data commands (migrate, verify) need DATABASE_URL.",
        "DATABASE_URL が必要なのはデータのコマンド(migrate、verify)だけです。",
    ),
    "dr_database_fix": (
        "Correct DATABASE_URL or start PostgreSQL.",
        "DATABASE_URL を修正するか、PostgreSQL を起動してください。",
    ),
    "dr_no_tables": ("{where} has no tables yet", "{where} にはまだ表がありません"),
    "dr_no_tables_fix": ("Run `syncgate migrate`.", "`syncgate migrate` を実行してください。"),
    "dr_tables": ("{where} answers and has its tables", "{where} は応答し、表もあります"),
    "dr_no_redis": (
        "not used: one node, state in SQLite",
        "未使用: 単独構成、状態は SQLite に保存",
    ),
    "dr_redis": ("{where} accepts connections", "{where} に接続できます"),
    "dr_redis_fix": (
        "Start Redis, or unset REDIS_URL.",
        "Redis を起動するか、REDIS_URL の設定を外してください。",
    ),
    # figures from elsewhere
    "dr_source": ("{metric} of {system} is {value}", "{system} の {metric} は {value} です"),
    "dr_source_whole": ("the whole", "全体"),
    "dr_source_fix": (
        "Try the query in Prometheus: it must give exactly one number, now.",
        "Prometheus でそのクエリを試してください。現在の数値が一つだけ返る必要があります。",
    ),
    # alert channels
    "dr_alerts": (
        "{rules} rules, {channels} channels, templates understood",
        "ルール {rules}、通知先 {channels}、文面は正しく読み取れました",
    ),
    "dr_alerts_fix": ("Correct the file.", "ファイルを修正してください。"),
    "dr_unset": ("not set: alerts for it go nowhere", "未設定: ここへのアラートは届きません"),
    "dr_unset_fix": ("Set {names}.", "{names} を設定してください。"),
    "dr_channel_set": ("{kind}, set; not tried", "{kind}、設定済み(未送信)"),
    "dr_channel_would": (
        "{kind}, set; would be sent: {title}; not tried",
        "{kind}、設定済み。送信内容: {title}(未送信)",
    ),
    "dr_channel_try": (
        "`syncgate doctor --yes` sends a test message through it.",
        "`syncgate doctor --yes` でテスト送信します。",
    ),
    "dr_channel_fix": ("See docs/alerts.md.", "docs/alerts.md を参照してください。"),
    "dr_channel_took": ("{kind}: took a test message", "{kind}: テスト送信に成功しました"),
    "dr_channel_unsigned": (
        "{kind}: took a test message, unsigned",
        "{kind}: テスト送信に成功しました(署名なし)",
    ),
    "dr_unsigned_fix": (
        "Set ALERT_WEBHOOK_SECRET, so that the receiver can tell who sent it.",
        "受信側が送信元を確認できるよう ALERT_WEBHOOK_SECRET を設定してください。",
    ),
}
