"""The policy file: what ships is right, and every mistake is named with its line, all at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.analysis import Metric, Relation, Severity
from gateway.policy import (
    MAX_POLICY_BYTES,
    PolicyError,
    load_policy,
    parse_policy,
    policy_schema,
)
from gateway.policy.lines import line_numbers, line_of

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "config" / "rollout.toml").read_text(encoding="utf-8")


def faults(text: str) -> list[tuple[int, str, str]]:
    """Every mistake of a policy."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    return [(fault.line, fault.key, fault.problem) for fault in caught.value.faults]


def changed(old: str, new: str) -> str:
    """The shipped policy with its first `old` replaced."""
    assert old in SHIPPED
    return SHIPPED.replace(old, new, 1)


def line(text: str, part: str) -> int:
    """The line on which something first stands."""
    return text[: text.index(part)].count("\n") + 1


# --- what ships -----------------------------------------------------------------------------------


def test_the_phases_that_ship():
    """0, 10, 50 and 100 %, for 7, 3, 3 and 7 days, then complete."""
    plan = load_policy(ROOT / "config" / "rollout.toml")
    day_s = 86_400
    assert [(p.write_bp, p.read_bp, p.bake_s) for p in plan.phases] == [
        (0, 0, 7 * day_s), (1_000, 1_000, 3 * day_s), (5_000, 5_000, 3 * day_s),
        (10_000, 10_000, 7 * day_s), (10_000, 10_000, 0),
    ]  # fmt: skip
    assert plan.phases[0].mirror is not None
    assert plan.phases[0].mirror.dry_run
    assert all(phase.mirror is None for phase in plan.phases[1:])


def test_the_triggers_that_ship():
    """Error rates of 10, 5 and 2 % at critical, high and medium; 1 h and 24 h to decide."""
    plan = load_policy(ROOT / "config" / "rollout.toml")
    rates = {t.severity: t.threshold for t in plan.triggers if t.metric is Metric.ERROR_RATIO}
    assert rates == {Severity.CRITICAL: 0.10, Severity.HIGH: 0.05, Severity.MEDIUM: 0.02}
    times = {
        t.severity: t.threshold for t in plan.triggers if t.metric is Metric.SYNC_SECONDS_PER_1000
    }
    assert times == {Severity.HIGH: 3.0, Severity.MEDIUM: 2.0}
    assert (plan.deadlines.high_s, plan.deadlines.medium_s) == (3_600, 86_400)
    by_phase = [
        [t.threshold for t in phase.triggers if t.metric is Metric.ERROR_RATIO]
        for phase in plan.phases
    ]
    assert by_phase == [[0.05], [0.05], [0.03], [0.02], []]


def test_the_limits_that_ship():
    """Target, warning and critical of every monitored metric."""
    plan = load_policy(ROOT / "config" / "rollout.toml")
    limits = {limit.metric: limit for limit in plan.limits}
    success = limits[Metric.SUCCESS_RATIO]
    assert (success.comparison, success.target, success.warning, success.critical) == (
        Relation.BELOW, 0.99, 0.98, 0.95,
    )  # fmt: skip
    pace = limits[Metric.SYNC_SECONDS_PER_1000]
    assert (pace.target, pace.warning, pace.critical) == (300, 420, 600)
    assert (limits[Metric.DISK_RATIO].critical, limits[Metric.DISK_RATIO].every_s) == (0.9, 300)
    assert len(limits) == len(plan.limits) == 11


def test_reads_may_move_before_writes():
    """Shadow -> reads -> writes -> retire, with weights of their own."""
    plan = load_policy(ROOT / "config" / "rollout-reads-first.toml")
    assert [(p.id, p.read_bp, p.write_bp) for p in plan.phases] == [
        ("shadow", 0, 0), ("reads", 10_000, 0), ("writes", 10_000, 10_000),
        ("retire", 10_000, 10_000),
    ]  # fmt: skip
    assert all(phase.mirror is None for phase in plan.phases[2:])
    assert not plan.stores_apart
    two = (ROOT / "config" / "rollout-reads-first.toml").read_text(encoding="utf-8")
    assert parse_policy(two.replace('stores = "one"', 'stores = "two"')).stores_apart


def test_real_writes_to_the_other_system_want_two_stores():
    """With one database they would meet their own rows; back to old there is a key of its own."""
    dry = 'mirror = { to = "new", rate = 1.0, dry_run = true }'
    assert dry in SHIPPED
    for to, stores, told in (
        ("new", "one", "expected dry_run = true"),
        ("old", "two", 'expected stores = "two" instead'),
    ):
        text = SHIPPED.replace(dry, f'mirror = {{ to = "{to}", dry_run = false }}')
        with pytest.raises(PolicyError) as caught:
            parse_policy(text.replace('stores = "one"', f'stores = "{stores}"'))
        assert told in str(caught.value)
    shadowed = SHIPPED.replace(dry, 'mirror = { to = "new", dry_run = false }')
    plan = parse_policy(shadowed.replace('stores = "one"', 'stores = "two"'))
    assert plan.phases[0].mirror is not None
    assert not plan.phases[0].mirror.dry_run


def test_the_schema_in_config_is_current():
    """Made by `python -m gateway.policy > config/schema/rollout.schema.json`."""
    stored = (ROOT / "config" / "schema" / "rollout.schema.json").read_text(encoding="utf-8")
    assert json.loads(stored) == policy_schema()
    printed = subprocess.run(
        [sys.executable, "-m", "gateway.policy"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert printed.stdout == stored


def test_every_number_that_ships_has_a_unit_or_a_reason():
    """A duration ends in _s, a weight in _percent; days are said beside large numbers."""
    for key, value in re.findall(r"^([a-z_]+) = ([\d_.]+)", SHIPPED, re.MULTILINE):
        if value.replace("_", "").isdigit() and int(value.replace("_", "")) >= 3_600:
            assert key.endswith("_s") or key in {"false_alarm_requests", "min_sample"}, key


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ('metric = "data_loss"', 'metric = "luck"', "triggers[1].metric", "expected 'error_ratio'"),
        ("for_s = 600", "fro_s = 600", "phases[1].triggers[3].fro_s", "unknown key"),
        ("bake_s = 604_800", "bake_s = -1", "phases[1].bake_s", "at least 0"),
        ("bake_s = 604_800", "bake_s = 0", "phases[1].bake_s", "above 0"),
        ("bake_s = 604_800", 'bake_s = "7d"', "phases[1].bake_s", "valid integer"),
        ("bake_s = 604_800", "bake_days = 7", "phases[1].bake_days", "unknown key"),
        ("number = 2", "number = 3", "phases[2].number", "without a gap"),
        ("weight_percent = 10", "weight_percent = 110", "phases[2].weight_percent", "at most 100"),
        ("weight_percent = 10", "weight_percent = 0.005", "phases[2].weight_percent", "steps"),
        ("weight_percent = 10", "weight_percent = 60", "phases[3].weight_percent", "only rise"),
        ("weight_percent = 10", "read_percent = 10", "phases[2]", "either weight_percent"),
        ("weight_percent = 10\n", "", "phases[2]", "either weight_percent"),
        ("threshold = 0.10\n", "threshold = 0.01\n", "triggers[4].threshold", "healthy rate"),
        ("threshold = 0.10\n", "threshold = 10\n", "triggers[4].threshold", "from 0 to 1"),
        ("threshold = 0.10\n", "threshold = 1.0\n", "triggers[4].threshold", "less than 1"),
        ("threshold = 0.10\n", "threshold = nan\n", "triggers[4].threshold", "finite"),
        ("bake_s = 604_800", f"bake_s = {10**400}", "phases[1].bake_s", "at most"),
        ("threshold = 0.10\n", "threshold = 0.10001\n", "triggers[4].threshold", "hundredths"),
        ("healthy_ratio = 0.01\n", "healthy_ratio = 1.5\n", "phases[1].triggers[1].healthy_ratio",
         "less than 1"),
        ("healthy_ratio = 0.01\n", "", "phases[1].triggers[1]", "healthy_ratio is missing"),
        ('name = "errors_high"', 'name = "errors_critical"', "triggers[5].name", "used twice"),
        ('id = "small"', 'id = "parallel"', "phases[2].id", "used twice"),
        ('severity = "high"', 'severity = "bad"', "triggers[5].severity", "'critical'"),
        ("confidence = 0.99", "confidence = 0.2", "phases[1].gates[1].confidence", "at least 0.5"),
        ("high_s = 3_600", "high_s = 0", "deadlines.high_s", "at least 1"),
        ("[deadlines]\n", "[dead_lines]\n", "deadlines", "missing"),
        ("warning = 0.98", "warning = 0.995", "limits[1].warning", "at most the milder"),
        ("warning = 420", "warning = 200", "limits[2].warning", "at least the milder"),
        ("critical = 0.05", "critical = 5", "limits[3].critical", "from 0 to 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key_and_what_was_expected(old, new, key, problem):
    """One change, and the fault that belongs to it is there."""
    found = faults(changed(old, new))
    assert any(key == where and problem in what for _, where, what in found), found


def test_all_mistakes_at_once_with_their_lines():
    """Five mistakes of five kinds: five lines."""
    text = (
        changed("threshold = 0.10\n", "threshold = 0.004\n")
        .replace("number = 3", "number = 4", 1)
        .replace("quiet_s = 300", "quiet_s = -300", 1)
        .replace('metric = "security_breach"', 'metric = "breach"', 1)
        .replace("every_s = 300", "every = 300", 1)
    )
    found = {number for number, _, _ in faults(text)}
    for part in ("threshold = 0.004", "number = 4", "quiet_s = -300", 'metric = "breach"',
                 "every = 300"):  # fmt: skip
        assert line(text, part) in found, part


def table(header: str, **keys: object) -> str:
    """A table of an array, as TOML; a datetime is given as its text in angle brackets."""
    rows = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return re.sub(r'"<(.*)>"', r"\1", "\n".join([f"[[{header}]]", *rows, ""]))


def asked(header: str, **keys: object) -> str:
    """A gate or trigger, complete but for what differs."""
    plain = {"name": "x", "metric": "cpu_ratio", "comparison": ">", "threshold": 0.9}
    return table(header, **plain | keys)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (
            table("once_freezes", name="x", from_at="<2026-12-28T00:00:00>", to_at="<2027-01-04>"),
            "offset from UTC",
        ),
        (
            table(
                "once_freezes",
                name="x",
                from_at="<2026-12-28T00:00:00Z>",
                to_at="<2026-12-01T00:00:00Z>",
            ),
            "later than from_at",
        ),
        (
            table(
                "weekly_freezes",
                name="x",
                from_day="fri",
                from_time="17:00",
                to_day="fri",
                to_time="17:00",
            ),
            "another time",
        ),
        (table("weekly_freezes", name="x", from_day="friday", from_time="25:00"), "'mon'"),
        (table("limits", metric="cpu_ratio", worse=">", every_s=60), "at least one of"),
        (asked("triggers", healthy_ratio=0.1), "error_ratio only"),
        (
            asked("triggers", metric="error_ratio", comparison="<", healthy_ratio=0.1),
            "expected '>'",
        ),
        (
            asked("triggers", metric="error_ratio", basis="ratio_to_old", healthy_ratio=0.1),
            "old is compared by itself",
        ),
        (asked("goals", metric="user_reports", basis="ratio_to_old"), "both systems"),
        (asked("goals", metric="user_reports", confidence=0.9), "only for ratios"),
        (
            table("phases", number=6, id="more", title="x", title_ja="x", weight_percent=100)
            + "bake_s = 60\n",
            "expected 0 in the last phase",
        ),
        (asked("phases.gates"), "not expected in the last phase"),
    ],
)
def test_mistakes_in_what_is_added(extra, problem):
    """Freezes, limits, triggers, goals and phases that could never be right."""
    assert any(problem in what for _, _, what in faults(SHIPPED + "\n" + extra))


def test_a_phase_without_a_gate_leads_nowhere():
    """Nothing but a passed gate may lead on; and the last phase must carry everything."""
    text = (
        'name = "x"\n[[phases]]\nnumber = 1\nid = "a"\ntitle = "a"\ntitle_ja = "a"\n'
        'weight_percent = 1\nbake_s = 60\n[[phases]]\nnumber = 2\nid = "b"\ntitle = "b"\n'
        'title_ja = "b"\nweight_percent = 50\nbake_s = 0\n'
    )
    problems = [what for _, _, what in faults(text)]
    assert any("at least one gate" in what for what in problems)
    assert any("100 % in the last phase" in what for what in problems)
    assert sum("missing" in what for what in problems) == 3


@pytest.mark.parametrize(
    "text",
    ["", "name = ", "[" * 50_000, "phases = 3", "phases = [1]\ntriggers = [[]]", "name = 1\n" * 3,
     "phases = [{number = true, gates = 3}]", '"" = 1', "[[a.b]]\n[a.b.c]\nd = 1"],
)  # fmt: skip
def test_what_is_no_policy_at_all_is_refused(text):
    """Torn, empty, or something else altogether: faults, never a crash."""
    assert faults(text)


def test_ten_megabytes_are_not_even_read(tmp_path):
    """A file beyond any policy is refused by its size."""
    big = tmp_path / "big.toml"
    big.write_bytes(b"# padding\n" * 1_000_000)
    with pytest.raises(PolicyError, match="at most 256 KiB"):
        load_policy(big)
    with pytest.raises(PolicyError, match="at most 256 KiB"):
        parse_policy("#" * (MAX_POLICY_BYTES + 1))


def test_a_file_that_cannot_be_read(tmp_path):
    """Missing, a folder, or not UTF-8: said in words."""
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "missing.toml")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = 1\nname = "\xe9"\n')
    with pytest.raises(PolicyError, match=r"latin\.toml:2: file: expected UTF-8"):
        load_policy(latin)


def test_freezes_are_read():
    """A weekly one in Tokyo time and a single one."""
    plan = parse_policy(
        SHIPPED + '\n[[weekly_freezes]]\nname = "weekend"\nfrom_day = "fri"\nfrom_time = "17:00"\n'
        'to_day = "mon"\nto_time = "09:00"\nutc_offset_minutes = 540\n'
        '[[once_freezes]]\nname = "new year"\nfrom_at = 2026-12-28T00:00:00+09:00\n'
        "to_at = 2027-01-04T00:00:00+09:00\n"
    )
    weekend, new_year = plan.freezes
    assert (weekend.start_s, weekend.end_s, weekend.offset_s) == (
        (4 * 24 + 17) * 3600, 9 * 3600, 9 * 3600,
    )  # fmt: skip
    assert new_year.end_s - new_year.start_s == 7 * 86_400
    assert plan.frozen((new_year.start_s + 86_400) * 1_000_000) is new_year


# --- lines ----------------------------------------------------------------------------------------


def test_where_things_stand():
    """Tables, arrays of tables inside arrays of tables, quoted and dotted keys."""
    lines = line_numbers(
        'a = 1\n[t]\nb.c = 2\n"d e" = 3\n[[p]]\nx = 1\n[[p.q]]\ny = 1\n[[p]]\n[[p.q]]\n'
        "# comment\ny = [\n  1,\n]\n[[p.q]]\n"
    )
    assert lines[("a",)] == 1
    assert lines[("t", "b", "c")] == 3
    assert lines[("t", "d e")] == 4
    assert lines[("p", 0, "q", 0, "y")] == 8
    assert lines[("p", 1, "q", 0, "y")] == 12
    assert lines[("p", 1, "q", 1)] == 15
    assert line_of(("p", 1, "q", 0, "y", 0), lines) == 12
    assert line_of(("nowhere",), lines) == 1
