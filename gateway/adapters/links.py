"""
Signed links in messages: whoever has one can acknowledge that one incident until it expires.

The signature covers the incident's unique id and the end of the link's life, so a link opens
nothing else and cannot be prolonged. Looking at a link changes nothing: mail scanners look, too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.core.model import SECOND_US
from gateway.ports.alerts import LinkState

if TYPE_CHECKING:
    from gateway.core.alerts import Incident

PATH: Final = "/a"
"""Where the admin port answers links: short, for the sake of SMS."""
_SIGNATURE_BYTES: Final = 18  # 144 bits, 24 characters: short enough for an SMS
_MOST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Links:
    """`AlertLinks`: makes and checks them.

    `base` is the address under which people reach the admin port.
    """

    secret: bytes
    base: str

    def make(self, incident: Incident, *, now_us: int, valid_s: int) -> str:
        """Give the address that acknowledges an incident."""
        until_s = now_us // SECOND_US + valid_s
        return f"{self.base}{PATH}/{incident.uid}?e={until_s}&s={self.sign(incident.uid, until_s)}"

    def sign(self, uid: str, until_s: int) -> str:
        """Sign one incident and one end."""
        text = f"syncgate acknowledges {uid} until {until_s}"
        digest = hmac.new(self.secret, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()

    def check(self, uid: str, until: str, signature: str, *, now_us: int) -> LinkState:
        """Say what a link is worth; compared in constant time."""
        if not (until.isascii() and until.isdigit() and len(until) <= _MOST_DIGITS):
            return LinkState.WRONG
        expected = self.sign(uid, int(until))
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return LinkState.WRONG
        return LinkState.GOOD if now_us < int(until) * SECOND_US else LinkState.EXPIRED
