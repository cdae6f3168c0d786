"""
A real browser held by a test: Chromium over its debugging pipe, without a package in between.

Only a browser sends the headers that a browser sends (`Origin: null`, `Sec-Fetch-Site`), obeys the
policy for content and runs the page's script.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 20.0
_PHONE_PX = 600
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-pipe",
    "about:blank",
)


def installed() -> str:
    """The path of a browser; the calling test skips, and says why, without one."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(_NAMES)} is installed")
    return path


class Browser:
    """One browser with one page, gone at the end of the `with`."""

    def __init__(self, profile: Path, *, language: str = "en-US") -> None:
        self._profile = profile
        self._language = language
        self._number = 0
        self._read = b""
        self._session = ""

    def __enter__(self) -> Self:
        """Start it; the debugging pipe is its descriptors 3 and 4."""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = f'exec "$0" "$@" 3</dev/fd/{theirs_in} 4>/dev/fd/{theirs_out}'
        arguments = [f"--user-data-dir={self._profile}", f"--accept-lang={self._language}"]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command, installed(), *arguments, *_ARGUMENTS],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self._send("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self._send("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        os.close(self._in)
        os.close(self._out)

    def open(self, url: str) -> None:
        """Go to an address, as if it had been typed."""
        self._send("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str) -> Any:
        """Give the value of an expression on the page; None while there is no page to ask."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True)
        return found.get("result", {}).get("value")

    def until(self, expression: str, *, within_s: float = PATIENCE_S) -> Any:
        """Wait until an expression on the page is true, through changes of the page."""
        deadline = time.monotonic() + within_s
        while not (value := self.js(expression)):
            shown = self.js("document.body.innerText") if time.monotonic() > deadline else ""
            assert time.monotonic() < deadline, f"{expression} never became true on: {shown}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        """What a reader sees."""
        return str(self.js("document.body.innerText"))

    def type(self, selector: str, text: str) -> None:
        """Type into a field, key by key."""
        self.until(f"!!document.querySelector({json.dumps(selector)})")
        self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        self._send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Press what a person presses, with the mouse."""
        middle = "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
        box = self.until(
            f"(e => {{ if (!e) return null; {middle} return [r.x + r.width / 2, r.y + r.height / 2]"
            f" }})(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            self._send("Input.dispatchMouseEvent", type=kind, **at)

    def resize(self, width: int, *, height: int = 900) -> None:
        """Give the window a size."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < _PHONE_PX,
        )

    def picture(self, path: Path) -> None:
        """Keep what the whole page looks like."""
        found = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(found["data"]))

    def _send(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                return dict(answer.get("result", {}))

    def _next(self) -> dict[str, Any]:
        """Read one message; they end with a zero byte."""
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._in], [], [], PATIENCE_S)
            assert ready, "the browser does not answer"
            got = os.read(self._in, 1 << 20)
            assert got, "the browser has ended"
            self._read += got
        raw, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(raw))
