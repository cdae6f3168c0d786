"""The small JWT module: what it signs it accepts, and nothing else."""

from __future__ import annotations

import base64
import json

import pytest

from ops.devstack import tokens

SECRET = "thirty-two characters are enough."


def test_a_known_token_is_made():
    """The signature is that of RFC 7515's HS256, as any other library makes it."""
    assert tokens.sign({"role": "anon"}, SECRET) == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoiYW5vbiJ9."
        "s5yRCtQirsqu78DZnxbGhA5S2Yo8H8AGRmk3_E1wpp4"
    )


def test_claims_come_back():
    """Signed claims are read back whole, Japanese included."""
    claims = {"role": "service_role", "名": "値", "n": 1}
    assert tokens.verify(tokens.sign(claims, SECRET), SECRET) == claims


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        tokens.sign({"role": "anon"}, SECRET[::-1]),
        tokens.sign({"role": "anon"}, SECRET)[:-2],
        f"{_segment({'alg': 'none'})}.{_segment({'role': 'service_role'})}.",
        f"{_segment(['alg'])}.{_segment({})}.x",
        f"{_segment({'alg': 'HS256'})}.é.x",
    ],
)
def test_anything_else_is_refused(token):
    """A foreign key, another algorithm, a cut or a malformed token is no token."""
    with pytest.raises(tokens.TokenError):
        tokens.verify(token, SECRET)
