"""
Who is compared: nginx with `split_clients` and `mirror`, HAProxy, Caddy, and the gateway.

Caddy 2.6 has no weighted policy and no mirror: old stands nine times in its list and new once.

All stand before the same upstreams (nginx again, answering from memory), keep their connections
alive, run one process that serves, and add the same header fields. Each is started fresh, on a port
of its own, and ended with the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.link import Routing, encode
from gateway.proxy.configuration import DataPlaneSettings
from gateway.proxy.worker import SETTINGS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SMALL = "x" * 300
SYNC_ANSWER_BYTES = 2 * 1024
BODY_BYTES = 60 * 1024
LARGE_BYTES = 5_000_000
WEIGHT_PERCENT = 10
READY_S = 10.0

NGINX_HEAD = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 75s; sendfile on;
  client_max_body_size 16m; client_body_buffer_size 128k;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_buffers 16 16k; proxy_buffer_size 16k;
"""
UPSTREAM = """
  open_file_cache max=16; root {folder}/www;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    add_header Sync-Dry-Run applied;
    location = /served {{ stub_status; }}
    location = / {{ return 200 ok; }}
    location /api/property-listings/small {{ return 200 "{small}"; }}
    error_page 405 =200 $uri;
    location /api/property-listings/answer/sync {{ try_files /answer =404; }}
    location /api/property-listings/echo/sync {{ try_files /echo =404; }}
  }}
}}
"""
SPLIT = """
  split_clients "$request_id" $side {{ {weight}% new; * old; }}
  upstream old {{ server 127.0.0.1:{old}; keepalive 512; keepalive_requests 100000000; }}
  upstream new {{ server 127.0.0.1:{new}; keepalive 512; keepalive_requests 100000000; }}
  proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header X-Request-Id $request_id; proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
  add_header Sync-System $side; add_header X-Request-Id $request_id;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://$side; }}
    location /api/property-listings/echo/ {{ mirror /shadow; proxy_pass http://old; }}
    location = /shadow {{ internal; proxy_pass http://new$request_uri; }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  http-reuse always
  option forwardfor
frontend data
  bind 127.0.0.1:{port}
  unique-id-format %{{+X}}o\\ %Ts%rt%pid
  unique-id-header X-Request-Id
  default_backend both
backend both
  balance random
  http-response set-header Sync-System %s
  server old 127.0.0.1:{old} weight {rest}
  server new 127.0.0.1:{new} weight {weight}
"""
CADDY = """
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
http://127.0.0.1:{port} {{
  reverse_proxy {addresses} {{
    lb_policy random
    header_up X-Request-Id {{http.request.uuid}}
    header_down Sync-System {{http.reverse_proxy.upstream.port}}
    header_down X-Request-Id {{http.request.uuid}}
    transport http {{
      keepalive 75s
      keepalive_idle_conns 1024
      keepalive_idle_conns_per_host 512
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Contender:
    """A running proxy: what it is called, where it listens, whose CPU is its own."""

    name: str
    port: int
    pids: tuple[int, ...]
    mirrors: bool


def missing() -> list[str]:
    """Say which programs are not installed."""
    return [name for name in ("nginx", "haproxy", "caddy", "wrk") if find(name) is None]


def find(name: str) -> str | None:
    """Find a program, also where Debian puts servers."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Take a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> tuple[int, ...]:
    """Give the process and all below it."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (pid, *(grandchild for child in below for grandchild in children(int(child))))


def _await(port: int) -> None:
    give_up = time.monotonic() + READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def _process(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


@contextlib.contextmanager
def nginx(folder: Path, name: str, body: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx in the foreground with its own folder."""
    configuration = folder / f"{name}.conf"
    configuration.write_text(NGINX_HEAD.format(folder=folder, name=name) + body)
    program = find("nginx")
    assert program is not None
    with _process([program, "-p", str(folder), "-c", str(configuration)]) as process:
        yield process


@contextlib.contextmanager
def upstream(folder: Path, name: str) -> Iterator[int]:
    """Run one upstream; gives its port."""
    port = free_port()
    www = folder / "www"
    www.mkdir(exist_ok=True)
    www.chmod(0o755)
    (www / "answer").write_text("y" * SYNC_ANSWER_BYTES)
    (www / "echo").write_text("z" * BODY_BYTES)
    (www / "large").write_text("w" * LARGE_BYTES)
    body = UPSTREAM.format(folder=folder, port=port, small=SMALL)
    with nginx(folder, name, body):
        _await(port)
        yield port


@contextlib.contextmanager
def split_by_nginx(folder: Path, old: int, new: int) -> Iterator[Contender]:
    """Run nginx as the proxy."""
    port = free_port()
    body = SPLIT.format(port=port, old=old, new=new, weight=WEIGHT_PERCENT)
    with nginx(folder, "split", body) as process:
        _await(port)
        while len(pids := children(process.pid)) < 2:
            time.sleep(0.01)  # it listens before the process is there that serves
        yield Contender("nginx", port, pids, mirrors=True)


@contextlib.contextmanager
def split_by_haproxy(folder: Path, old: int, new: int) -> Iterator[Contender]:
    """Run HAProxy as the proxy."""
    port = free_port()
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        HAPROXY.format(
            port=port, old=old, new=new, weight=WEIGHT_PERCENT, rest=100 - WEIGHT_PERCENT
        )
    )
    program = find("haproxy")
    assert program is not None
    with _process([program, "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL) as process:
        _await(port)
        yield Contender("haproxy", port, children(process.pid), mirrors=False)


@contextlib.contextmanager
def split_by_caddy(folder: Path, old: int, new: int) -> Iterator[Contender]:
    """Run Caddy as the proxy, on one core as the others."""
    port = free_port()
    configuration = folder / "Caddyfile"
    shares = [old] * (100 // WEIGHT_PERCENT - 1) + [new]
    addresses = " ".join(f"127.0.0.1:{to}" for to in shares)
    configuration.write_text(CADDY.format(port=port, addresses=addresses))
    program = find("caddy")
    assert program is not None
    environment = {**os.environ, "GOMAXPROCS": "1", "HOME": str(folder)}
    command = [program, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with _process(command, stderr=subprocess.DEVNULL, env=environment) as process:
        _await(port)
        yield Contender("caddy", port, (process.pid,), mirrors=False)


@contextlib.contextmanager
def gateway(
    name: str,
    old: int,
    new: int,
    *,
    mirror: bool,
    prefix: str = "/api/property-listings",
    reports: Path = Path(os.devnull),
) -> Iterator[Contender]:
    """Run one worker with every feature on, and be its parent; what it says goes to `reports`."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    ours, theirs = socket.socketpair()
    # Limits are on and counted, but not met: nginx and HAProxy are not limited either.
    settings = DataPlaneSettings(
        f"http://127.0.0.1:{old}",
        f"http://127.0.0.1:{new}",
        prefix=prefix,
        rate_limit_per_second=1_000_000,
        rate_limit_burst=1_000_000,
        upstream_limit_per_second=1_000_000,
        connections_per_address=8_192,
        access_log_every=1_000,
    )
    weight = 0 if mirror else WEIGHT_PERCENT * 100
    routing = Routing(
        version=1, salt="bench", write_weight_bp=weight, read_weight_bp=weight, phase="2",
        status="running", mirror_to="new" if mirror else None, mirror_rate=1.0 if mirror else 0.0,
    )  # fmt: skip
    fds = (listener.fileno(), theirs.fileno())
    command = [sys.executable, "-m", "gateway.proxy.worker", "0", *map(str, fds)]
    environment = {**os.environ, SETTINGS_VARIABLE: settings.to_json()}
    with (
        listener, ours, theirs,
        _process(
            command, pass_fds=fds, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL
        ) as process,
    ):  # fmt: skip
        ours.sendall(encode(routing))
        ours.settimeout(READY_S)
        assert b"Hello" in ours.recv(4096)
        ours.settimeout(None)
        # What the worker reports must be read, or the socket fills up.
        with reports.open("wb") as kept, _process(["cat"], stdin=ours.fileno(), stdout=kept):
            yield Contender(name, listener.getsockname()[1], (process.pid,), mirrors=mirror)
