"""
From the channels that `alerts.toml` names and the secrets of the environment to ways that work.

A secret is looked for under the variable that the file names, then under the one of its kind; so
one Slack webhook serves all levels until each has its own. What is not set is said at the start and
by `syncgate doctor`; what is set and cannot be right stops the start, all faults at once. A value
is never repeated in a message.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from email.headerregistry import Address as MailAddress
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from gateway.adapters.notify.alertmanager import AlertmanagerChannel
from gateway.adapters.notify.log import LogChannel
from gateway.adapters.notify.mail import MailChannel, Server
from gateway.adapters.notify.posting import Poster
from gateway.adapters.notify.slack import SlackChannel
from gateway.adapters.notify.sms import MOST_SEGMENTS, SmsChannel
from gateway.adapters.notify.targets import Targets
from gateway.adapters.notify.webhook import WebhookChannel
from gateway.errors import Fault, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.policy.alerts import NamedChannel
    from gateway.ports import Clock
    from gateway.ports.alerts import Channel
    from gateway.settings import Secrets, Settings

SLACK_HOSTS: Final = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
TWILIO: Final = "https://api.twilio.com"
_OWN_HOSTS: Final = SLACK_HOSTS | {"api.twilio.com"}
_BY_KIND: Final[Mapping[str, Mapping[str, str]]] = {
    "slack": {"url": "ALERT_SLACK_WEBHOOK_URL"},
    "email": {"url": "ALERT_SMTP_URL", "from": "ALERT_EMAIL_FROM", "to": "ALERT_EMAIL_TO"},
    "sms": {
        "account": "ALERT_TWILIO_ACCOUNT_SID",
        "token": "ALERT_TWILIO_AUTH_TOKEN",
        "from": "ALERT_TWILIO_FROM",
        "to": "ALERT_SMS_TO",
        "url": "ALERT_TWILIO_URL",
    },
    "webhook": {"url": "ALERT_WEBHOOK_URL", "key": "ALERT_WEBHOOK_SECRET"},
    "alertmanager": {"url": "ALERT_ALERTMANAGER_URL"},
    "log": {},
}
_OPTIONAL: Final = frozenset({("sms", "url"), ("webhook", "key")})
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER: Final = re.compile(r"\+?[0-9]{3,15}|[A-Za-z0-9 ]{1,11}|MG[0-9a-fA-F]{32}")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9]{2,64}")
_SMTP_PORTS: Final = {"smtp": 587, "smtps": 465}
_LEAST_KEY: Final = 16
_TODO: Final = "Correct these in the environment, .env or alerts.toml and start again."


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that can be used, and those that are named but not set."""

    ready: Mapping[str, Channel]
    unset: Mapping[str, tuple[str, ...]]
    """Name -> the variables to set."""
    per_minute: Mapping[str, int]
    kinds: Mapping[str, str]
    unsigned: tuple[str, ...] = ()
    """Webhooks without a secret: their receiver cannot tell who sent it."""

    def notes(self) -> list[str]:
        """Say what is missing, one line each; nothing when all is there."""
        return [
            f"alerts by {name} go nowhere: set {', '.join(variables)}"
            for name, variables in self.unset.items()
        ]


def build_channels(
    named: Iterable[NamedChannel], settings: Settings, *, secrets: Secrets, clock: Clock
) -> Channels:
    """Make every channel that is set; SettingsError with every fault of what is set wrongly."""
    targets = Targets(_OWN_HOSTS | settings.alert_allowed_hosts, settings.alert_allow_private)
    ready: dict[str, Channel] = {}
    unset: dict[str, tuple[str, ...]] = {}
    per_minute: dict[str, int] = {}
    kinds: dict[str, str] = {}
    unsigned: list[str] = []
    faults: list[Fault] = []
    for channel in named:
        parts = _Parts(channel, secrets, targets, clock)
        kinds[channel.name] = channel.kind
        if parts.missing:
            unset[channel.name] = parts.missing
            continue
        made = _MAKERS[channel.kind](parts)
        faults.extend(fault for fault in parts.faults if fault not in faults)
        if made is not None and not parts.faults:
            ready[channel.name] = made
            per_minute[channel.name] = channel.per_minute
            if channel.kind == "webhook" and not parts.values.get("key"):
                unsigned.append(channel.name)
    if faults:
        raise SettingsError("Alert channels", tuple(faults), todo=_TODO)
    return Channels(ready, unset, per_minute, kinds, tuple(unsigned))


@dataclass(slots=True)
class _Parts:
    """What one channel is made of, and what is wrong with it."""

    channel: NamedChannel
    secrets: Secrets = field(repr=False)
    targets: Targets = field(repr=False)
    clock: Clock
    values: dict[str, str] = field(default_factory=dict, repr=False)
    sources: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Look everything up."""
        own = _BY_KIND[self.channel.kind]
        absent: list[str] = []
        for role in dict(own) | dict(self.channel.secrets):
            variables = [self.channel.secrets.get(role), own.get(role)]
            named = [name for name in dict.fromkeys(variables) if name]
            found = next((name for name in named if self.secrets.get(name)), None)
            if found is not None:
                self.values[role] = self.secrets.get(found) or ""
                self.sources[role] = found
            elif (text := self._written(role)) is not None:
                self.values[role] = text
                self.sources[role] = f"alerts.toml, {self.channel.name}, {role}"
            elif (self.channel.kind, role) not in _OPTIONAL:
                absent.append(" or ".join(named))
        self.missing = tuple(absent)

    def _written(self, role: str) -> str | None:
        """Give what the file itself may say: receivers and sender are no secrets."""
        if role == "to" and self.channel.to:
            return ",".join(self.channel.to)
        option = self.channel.options.get(role)
        return str(option) if role == "from" and option else None

    def fault(self, role: str, problem: str, expected: str = "") -> None:
        """Name what is wrong, by the variable that holds it."""
        self.faults.append(Fault(self.sources.get(role, role), problem, expected))

    def address(self, *, schemes: tuple[str, ...]) -> SplitResult | None:
        """Take the channel's URL apart, once it is one that may be called."""
        text = self.values["url"]
        form = " or ".join(f"{scheme}://host[:port]" for scheme in schemes)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            self.fault("url", "is not a URL", form)
            return None
        if parts.scheme not in schemes or not host or not text.isprintable() or " " in text:
            self.fault("url", "is not a URL for this channel", form)
            return None
        if port == 0:
            self.fault("url", "names port 0, which cannot be called", form)
        if not self.targets.lists(host):
            known = f"{host} in ALERT_ALLOWED_HOSTS"
            self.fault("url", f"leads to {host}, which is not an allowed host", known)
        elif not self._public(host):
            wanted = "a public address, or ALERT_ALLOW_PRIVATE=true if that is meant"
            self.fault("url", f"leads to {host}, which is not a public address", wanted)
        return parts

    def _public(self, host: str) -> bool:
        try:
            return self.targets.allows(ipaddress.ip_address(host))
        except ValueError:
            return self.targets.private or host != "localhost"

    def poster(self, kind: str, *, public: bool = False) -> Poster:
        """Make what posts to the channel's URL; `public`: over TLS, unless in a test network."""
        secure = public and not self.targets.private
        parts = self.address(schemes=("https",) if secure else ("https", "http"))
        if parts is not None and (parts.username or parts.password):
            self.fault("url", "holds a user or password", "a URL without them")
        if parts is not None and parts.fragment:
            self.fault("url", "ends in a #fragment, which is never sent", "a URL without it")
        return Poster(kind, self.values["url"].rstrip("/"), self.targets)

    def listed(self, role: str) -> tuple[str, ...]:
        """Split a list of receivers."""
        return tuple(dict.fromkeys(e.strip() for e in self.values[role].split(",") if e.strip()))


def _slack(parts: _Parts) -> Channel:
    channel = parts.channel.options.get("channel", "")
    return SlackChannel(parts.poster("Slack", public=True), channel=str(channel))


def _webhook(parts: _Parts) -> Channel:
    key = parts.values.get("key", "")
    if key and (len(key) < _LEAST_KEY or len(set(key)) < _LEAST_KEY // 4):
        parts.fault("key", "is too weak", f"at least {_LEAST_KEY} characters, not all alike")
    return WebhookChannel(parts.poster("The webhook"), clock=parts.clock, secret=key)


def _alertmanager(parts: _Parts) -> Channel:
    return AlertmanagerChannel(parts.poster("Alertmanager"))


def _sms(parts: _Parts) -> Channel:
    if "url" not in parts.values:
        parts.values["url"] = TWILIO
    for number in parts.listed("to"):
        if not _NUMBER.fullmatch(number):
            parts.fault("to", "holds something that is no number", "+81... in digits")
            break
    if not parts.listed("to"):
        parts.fault("to", "holds no number", "+81... in digits")
    if not _SENDER.fullmatch(parts.values["from"]):
        parts.fault("from", "is no sender", "a number, a name of up to 11, or MG...")
    if not _ACCOUNT.fullmatch(parts.values["account"]):
        parts.fault("account", "is no account", "Twilio's account SID, AC...")
    if not parts.values["token"].isascii() or not parts.values["token"].isprintable():
        parts.fault("token", "is no token", "Twilio's auth token")
    most = parts.channel.options.get("segments", 3)
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_SEGMENTS:
        parts.fault("segments", "is no number of segments", f"1 to {MOST_SEGMENTS}")
        most = 1
    return SmsChannel(
        parts.poster("Twilio", public=True),
        account=parts.values["account"],
        token=parts.values["token"],
        sender=parts.values["from"],
        to=parts.listed("to"),
        most_segments=most,
    )


def _mail(parts: _Parts) -> Channel | None:
    sender, to = parts.values["from"].strip(), parts.listed("to")
    if not _is_mail_address(sender):
        parts.fault("from", "is no mail address", "name@example.com")
    if not to or not all(_is_mail_address(each) for each in to):
        parts.fault("to", "holds something that is no mail address", "a@example.com,b@example.com")
    found = parts.address(schemes=tuple(_SMTP_PORTS))
    if found is None or parts.faults:
        return None
    user, password = unquote(found.username or ""), unquote(found.password or "")
    if bool(user) is not bool(password):
        parts.fault("url", "holds a user or a password without the other", "user:password@host")
    server = Server(
        host=found.hostname or "",
        port=found.port or _SMTP_PORTS[found.scheme],
        tls=found.scheme == "smtps",
        user=user,
        password=password,
    )
    return MailChannel(server, parts.targets, sender=sender, to=to)


def _is_mail_address(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or len(text) > 254:  # noqa: PLR2004 - RFC 5321
        return False
    try:
        address = MailAddress(addr_spec=text)
    except Exception:  # noqa: BLE001 - the standard library raises many kinds here
        return False
    return bool(address.username and address.domain) and str(address) == text


def _log_channel(_: _Parts) -> Channel:
    return LogChannel()


_MAKERS: Final = {
    "slack": _slack,
    "email": _mail,
    "sms": _sms,
    "webhook": _webhook,
    "alertmanager": _alertmanager,
    "log": _log_channel,
}
