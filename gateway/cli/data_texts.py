"""
Sentences about data: comparison, verification, repair.

As in `texts`: key -> (English, Japanese).
"""

from __future__ import annotations

from typing import Final

DATA_TEXTS: Final[dict[str, tuple[str, str]]] = {
    # the comparison
    "cmp_mirror": ("mirroring", "ミラー"),
    "cmp_on": ("on, as dry runs: {means}", "有効・ドライラン: {means}"),
    "cmp_off": ("OFF: {why}", "無効: {why}"),
    "cmp_not_now": ("not in this phase", "このフェーズでは行いません"),
    "cmp_not_started": ("not started yet", "未開始のため行いません"),
    "cmp_rolled_back": (
        "stopped by the rollback; `syncgate resume` begins it again",
        "切り戻しにより停止中(`syncgate resume` で再開)",
    ),
    "cmp_stopped": (
        "stopped by the emergency stop",
        "緊急停止により停止中",
    ),
    "means_transaction": (
        "executed and rolled back (transaction)",
        "実行して取り消し(transaction)",
    ),
    "means_rollback": (
        "executed and rolled back by the server (rollback)",
        "サーバーで実行して取り消し(rollback)",
    ),
    "means_raise": (
        "executed and undone in the database (raise)",
        "データベース内で実行して取り消し(raise)",
    ),
    "means_plan": ("planned, not executed (plan)", "計画のみ・未実行(plan)"),
    "cmp_opened": ("looked into", "精査"),
    "cmp_opened_of": (
        "{opened} of {all} answers that differ; the rate allows for the rest",
        "相違のある応答 {all} 件中 {opened} 件(一致率に反映済み)",
    ),
    "cmp_pace": ("old {old}, new {new}", "旧 {old}・新 {new}"),
    "cmp_trouble": ("not kept", "保存不可"),
    "cmp_nothing": ("No differences.", "相違はありません。"),
    "cmp_control": ("control", "対照"),
    "cmp_control_on": (
        "{rate} % of the syncs repeated against old: {listings} listings",
        "同期の {rate} % を旧で再実行: {listings} 件",
    ),
    "cmp_control_past": (
        "none now; {listings} listings were repeated against old before",
        "現在はなし(これまでに旧で {listings} 件を再実行)",
    ),
    "cmp_control_off": ("OFF: {why}", "無効: {why}"),
    "cmp_control_none": (
        "none: nothing is known to be only noise",
        "なし: ノイズを判別できません",
    ),
    "cmp_lost": ("not compared", "比較不能"),
    "cmp_lost_of": (
        "{lost} of {due} shadows ({listings} listings): {reasons}",
        "ミラー {due} 件中 {lost} 件(物件 {listings} 件): {reasons}",
    ),
    "cmp_since": ("counted since", "集計開始"),
    "cmp_everything": ("everything", "すべて"),
    "cmp_overall": (
        "all but what was put right: {rate} of {listings}",
        "修正済みを除く全体: {listings} 件中 {rate}",
    ),
    "cmp_fixed_how": ("put right:", "修正した場合:"),
    "cmp_fixed": (
        "What differed at {path} is closed and counted anew.",
        "{path} の相違を修正済みとし、新たに集計します。",
    ),
    "cmp_listing": ("listing", "物件"),
    "cmp_old": ("old", "旧"),
    "cmp_new": ("new", "新"),
    "cmp_request": ("request", "リクエスト"),
    "cmp_accept": ("accept:", "許容するには:"),
    "cmp_accepted": (
        "Differences at {path} are accepted; what was compared is scored again.",
        "{path} の相違を許容しました。比較済みの結果を再評価します。",
    ),
    "cmp_written": ("{count} differences written to {path}", "相違 {count} 件を {path} に出力"),
    # verify
    "feed_unmapped": (
        "--feed alone says nothing of its columns, so nothing would be compared with it.",
        "--feed だけでは列の対応がわからず、照合できません。",
    ),
    "feed_unmapped_fix": (
        "Add --mapping with the source.toml of that feed.",
        "そのフィードの source.toml を --mapping で指定してください。",
    ),
    "verify_nothing": (
        "There is nothing to check in workspace '{workspace}': no rows and no journal.",
        "ワークスペース '{workspace}' には検査対象がありません(行もジャーナルもなし)。",
    ),
    "verify_nothing_fix": (
        "Check --workspace and --database-url.",
        "--workspace と --database-url を確認してください。",
    ),
    "bad_database": (
        "The address of the database cannot be read as one.",
        "データベースの接続文字列を解釈できません。",
    ),
    # repair
    "repair_not_needed": (
        "Not needed: both systems write the same database.",
        "不要: 両システムは同じデータベースに書き込みます。",
    ),
    "repair_from": ("from {source}\n  to {target}", "{source} から\n  {target} へ"),
    "order_repair": (
        "bring {target} up to what {source} holds",
        "{target} を {source} の内容に合わせる",
    ),
    "repair_progress": (
        "  {checked} listings looked at, {repaired} repaired",
        "  確認 {checked} 件、修復 {repaired} 件",
    ),
    "repair_agrees": (
        "Both stores agree: {checked} listings in {workspaces} workspaces, {repaired} repaired.",
        "両ストアは一致しています: {workspaces} ワークスペース、{checked} 件、修復 {repaired} 件。",
    ),
    "repair_would": (
        "{repaired} of {checked} listings would be repaired; nothing was changed.",
        "{checked} 件中 {repaired} 件を修復します。何も変更していません。",
    ),
    "repair_left": (
        "{left} listings still differ; {repaired} of {checked} were repaired.",
        "{left} 件が一致していません。{checked} 件中 {repaired} 件を修復しました。",
    ),
    "repair_left_fix": (
        "--into new brings new what old wrote later; --overwrite lets the other store win",
        "--into new は旧の新しい書き込みを新へ反映し、--overwrite は相手側を優先します",
    ),
    "repair_counts": (
        "created {created}, updated {updated}, deleted {deleted}, failed {failed}, extra {unknown}",
        "作成 {created}、更新 {updated}、削除 {deleted}、失敗 {failed}、対象のみに存在 {unknown}",
    ),
    "repair_conflicts": (
        "written apart: overwritten {overwritten}, kept {kept}, undecided {undecided}",
        "別々の書き込み: 上書き {overwritten}、維持 {kept}、判定不能 {undecided}",
    ),
    "repair_cleared": (
        "The gateway has cleared what it had on record; open now: {open}.",
        "ゲートウェイの記録を解消しました。未解消: {open} 件。",
    ),
    "repair_not_told": (
        "The gateway was not told ({cause}); its failed write-backs stay open.",
        "ゲートウェイに通知できませんでした ({cause})。書き戻しの失敗は未解消のままです。",
    ),
    "repair_again": (
        "What was repaired stays; run the same command again to go on.",
        "修復済みの分は残ります。同じコマンドを再実行すると続きから行います。",
    ),
    "bad_side": ("'{value}' is neither old nor new.", "'{value}' は old でも new でもありません。"),
}
