"""
Figures from a Prometheus: a real one that scrapes a small exposition, and every wrong answer.

What is not exactly one finite sample of now is no figure; a source that goes away makes a gate's
figure stale, never zero.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.promql import PromQl
from gateway.errors import UnreachableError
from tests.integration.admin.conftest import free_port
from tests.integration.admin.test_command import run
from tests.support.gateway_process import GatewayProcess, until
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus (Debian's package) is not on PATH"
)
POLICY = Path(__file__).parents[3] / "config" / "rollout.toml"


class Stub:
    """A server that answers every question as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.wait_s = 200, b"", 0.0
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                stub.asked.append((self.path, text, self.headers.get("Authorization", "")))
                time.sleep(stub.wait_s)
                self.send_response(stub.status)
                for name, value in stub.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(stub.body)

            do_GET = do_POST  # noqa: N815 - the base's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, result: Any, kind: str = "vector", **more: Any) -> None:
        """Answer as Prometheus does."""
        data = {"resultType": kind, "result": result}
        self.status = 200
        self.body = json.dumps({"status": "success", "data": data, **more}).encode()


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server of this test's own."""
    made = Stub()
    yield made
    made.server.shutdown()
    made.server.server_close()


def sample(value: object, *, age_s: float = 0) -> dict[str, Any]:
    """One element of a vector."""
    return {"metric": {"job": "x"}, "value": [time.time() - age_s, value]}


async def test_one_sample_is_the_figure(stub: Stub) -> None:
    """A vector of one, or a scalar; asked by POST with its age, the token in its header only."""
    asking = PromQl(stub.url + "/prefix", 'a{b="c"} + 1', max_age_s=60, token="hush-hush")
    stub.says([sample("0.25")])
    assert await asking.read() == 0.25
    stub.says([time.time(), "3"], "scalar")
    assert await asking.read() == 3
    path, body, token = stub.asked[0]
    assert path == "/prefix/api/v1/query"
    assert "lookback_delta=60s" in body
    assert "hush" not in body + path
    assert token == "Bearer hush-hush"


@pytest.mark.parametrize(
    ("result", "kind", "reason"),
    [
        ([], "vector", "0 samples"),
        ([sample("1"), sample("2")], "vector", "2 samples"),
        ([sample("NaN")], "vector", "is nan"),
        ([sample("+Inf")], "vector", "is inf"),
        ([sample("many")], "vector", "no number"),
        ([sample(0.5)], "vector", "not a sample"),
        ([sample("1", age_s=600)], "vector", "another time"),
        ([sample("1", age_s=-600)], "vector", "another time"),
        ([{}], "vector", "not a sample"),
        (["x"], "vector", "not a sample"),
        ([[1, "2"]], "matrix", "a matrix"),
        ("x", "string", "a string"),
        (None, "vector", "not one sample"),
    ],
)
async def test_anything_but_one_finite_sample_of_now_is_no_figure(
    stub: Stub, result: Any, kind: str, reason: str
) -> None:
    """Each with its reason; none is zero."""
    stub.says(result, kind)
    with pytest.raises(UnreachableError, match=reason):
        await PromQl(stub.url, "x", max_age_s=300).read()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b'{"status":"error","error":"parse error: 1:3"}', "400: parse error: 1:3"),
        (200, b"<html>login</html>", "200 without JSON"),
        (200, b"[]", "without JSON"),
        (200, b'{"status":"success"}', "a None"),
        (500, b"", "500 without JSON"),
        (302, b"", "302 without JSON"),
        (200, b'{"status":"success","data":1}', "a None"),
        (200, b"x" * (1024 * 1024 + 1), "more than 1 MiB"),
        (503, b'{"status":"error"}', "did not say why"),
    ],
)
async def test_trouble_of_the_server_is_no_figure(
    stub: Stub, status: int, body: bytes, reason: str
) -> None:
    """Errors, pages of a proxy, redirects (not followed), too much."""
    stub.status, stub.body = status, body
    stub.headers = {"Location": stub.url + "/elsewhere"} if status == 302 else {}
    with pytest.raises(UnreachableError, match=reason):
        await PromQl(stub.url, "x", max_age_s=300).read()
    assert len(stub.asked) == 1


async def test_a_partial_answer_is_no_figure(stub: Stub) -> None:
    """A number with a warning may be a part of the truth only."""
    stub.says([sample("0.1")], warnings=["one store did not answer"])
    with pytest.raises(UnreachableError, match=r"not whole.*one store"):
        await PromQl(stub.url, "x", max_age_s=300).read()


async def test_a_slow_or_absent_server_costs_its_deadline_only(stub: Stub) -> None:
    """It answers too late, or nobody listens."""
    stub.wait_s = 1.0
    stub.says([sample("1")])
    with pytest.raises(UnreachableError, match=r"within 0\.1 s"):
        await PromQl(stub.url, "x", max_age_s=300, deadline_s=0.1).read()
    with pytest.raises(UnreachableError, match="nobody accepts"):
        await PromQl(f"http://127.0.0.1:{free_port()}", "x", max_age_s=300).read()
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]

        def drop() -> None:
            connection, _ = closing.accept()
            connection.close()

        threading.Thread(target=drop, daemon=True).start()
        with pytest.raises(UnreachableError, match="no well-formed answer"):
            await PromQl(f"http://127.0.0.1:{port}", "x", max_age_s=300).read()


@needs_prometheus
def test_a_real_prometheus_feeds_a_gateways_gate_and_its_death_is_unknown(
    tmp_path: Path,
) -> None:
    """Scraped, asked, shown by the gateway; killed: its figure only grows old, and that is said."""
    exposition = Stub()
    exposition.headers = {"Content-Type": "text/plain; version=0.0.4"}
    exposition.body = b"db_connections 20\ndb_connections_max 80\n"
    port = free_port()
    config = tmp_path / "prometheus.yml"
    target = exposition.url.removeprefix("http://")
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: db\n"
        f"  static_configs: [{{targets: ['{target}']}}]\n"
    )
    process = subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    old, new = Upstream("old"), Upstream("new")
    policy = tmp_path / "rollout.toml"
    policy.write_text(
        POLICY.read_text()
        + '\n[[sources]]\nmetric = "database_load_ratio"\nevery_s = 5\nmax_age_s = 30\n'
        'query = "db_connections / db_connections_max"\n'
        '[[sources]]\nmetric = "cpu_ratio"\nsystem = "new"\nevery_s = 5\n'
        'query = "series_that_is_not_there"\n'
    )
    settings = {
        "GATEWAY_POLICY": str(policy),
        "GATEWAY_PROMETHEUS_URL": f"http://127.0.0.1:{port}",
    }
    url = f"http://127.0.0.1:{port}/api/v1/query?query=db_connections"
    try:
        until(lambda: _answer(url)["data"]["result"])
        gateway = GatewayProcess(tmp_path / "state", old.url, new.url, settings).start()
        shown = until(
            lambda: next(
                (r for r in [gateway.rollout["resources"]] if "database_load_ratio" in r), None
            )
        )
        assert shown["database_load_ratio"] == 0.25
        until(lambda: "source.unreadable" in gateway.event_kinds())
        [unread] = [e for e in gateway.rollout["events"] if e["kind"] == "source.unreadable"]
        assert "cpu_ratio of new" in unread["text"]
        assert "0 samples" in unread["text"]
        doctor = run(gateway, "doctor", "--json", "--dry-run", **settings)
        asked = [one for one in json.loads(doctor.stdout)["checks"] if one["name"] == "source"]
        assert [(one["status"], one["detail"]) for one in asked] == [
            ("pass", "database_load_ratio of the whole is 0.25"),
            ("fail", "cpu_ratio (new): the query gives 0 samples, not one"),
        ]
        process.kill()
        process.wait()
        until(lambda: gateway.event_kinds().count("source.unreadable") == 2)
        assert gateway.rollout["resources"]["database_load_ratio"] == 0.25
        assert gateway.stop() == 0
    finally:
        process.kill()
        process.wait()
        exposition.server.shutdown()
        exposition.server.server_close()
        for service in (old, new):
            service.kill()


def _answer(url: str) -> Any:
    """Ask Prometheus itself; empty until it listens."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return json.loads(answer.read())
    except OSError:
        return {"data": {"result": []}}


def test_sources_without_anybody_to_ask_stop_the_start(tmp_path: Path) -> None:
    """Said by name with what to do; a gate would never be judged otherwise."""
    policy = tmp_path / "rollout.toml"
    policy.write_text(POLICY.read_text() + '\n[[sources]]\nmetric = "cpu_ratio"\nquery = "x"\n')
    gateway = GatewayProcess(
        tmp_path / "state", "http://127.0.0.1:1", "http://127.0.0.1:2",
        {"GATEWAY_POLICY": str(policy)},
    )  # fmt: skip
    gateway.process = gateway.launch()
    assert gateway.ended() == 2
    said = gateway.log.read_text()
    assert "GATEWAY_PROMETHEUS_URL" in said
    assert "Traceback" not in said
