"""
The sync request: what a client may ask for, read strictly.

``{"mode": "full" | "selective" | "push", "propertyNumbers": [...], "listings": [...],
"limit": 100, "dryRun": false, "confirm": false}``. Only `mode` is required. Everything wrong with a
request is told at once; a request with anything wrong in it stores nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from listings.codec import decode_json, normalise_property_number, parse_listing
from listings.codec.values import Described, fault
from listings.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from listings.model import Json, Listing

MAX_ITEMS: Final = 10_000
MAX_LIMIT: Final = 1_000_000
MAX_FAULTS: Final = 100
KEYS: Final = ("mode", "propertyNumbers", "listings", "limit", "dryRun", "confirm")


class Mode(StrEnum):
    """What a sync covers: the whole feed, chosen numbers of it, or what the request brings."""

    FULL = "full"
    SELECTIVE = "selective"
    PUSH = "push"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """One sync as asked for; `confirm` agrees to a full sync that changes the count by much."""

    mode: Mode
    workspace_id: str
    property_numbers: tuple[str, ...] = ()
    listings: tuple[Listing, ...] = ()
    limit: int | None = None
    dry_run: bool = False
    confirm: bool = False
    shadow_of: UUID | None = None
    shadow_digest: str | None = None
    """What the shadowed sync answered as its digest."""
    write_back_of: UUID | None = None
    """The sync of another store that this one repeats; it is recorded under the same id."""


def read_request(
    body: bytes,
    *,
    workspace_id: str,
    dry_run: bool = False,
    shadow_of: UUID | None = None,
) -> SyncRequest:
    """Read a request body; `dry_run` is what the header said, and either of the two is enough."""
    raw = decode_json(body)
    if not isinstance(raw, dict):
        raise InvalidInput(
            "The request body must be a JSON object.", fault("body", "a JSON object", raw)
        )
    faults = [
        fault(key[:80], f"one of {', '.join(KEYS)}", Described("an unknown key"))
        for key in raw
        if key not in KEYS
    ]
    mode = _mode(raw.get("mode"), faults)
    limit = _limit(raw.get("limit"), faults)
    dry_run = _flag(raw, "dryRun", faults) or dry_run
    confirm = _flag(raw, "confirm", faults)
    numbers = _numbers(raw.get("propertyNumbers"), mode, faults)
    listings = _listings(raw.get("listings"), mode, faults)
    if faults or mode is None:
        more = f" (the first {MAX_FAULTS} of {len(faults)})" if len(faults) > MAX_FAULTS else ""
        raise InvalidInput(
            f"The request is refused and nothing was stored; see errors{more}.",
            *faults[:MAX_FAULTS],
        )
    return SyncRequest(mode, workspace_id, numbers, listings, limit, dry_run, confirm, shadow_of)


def read_sync_id(text: str, place: str) -> UUID:
    """Read a sync's id as clients send it."""
    try:
        return UUID(text)
    except ValueError as exc:
        expected = "a sync id, as Sync-Id or syncId gave it"
        raise InvalidInput(f"{place} is no sync id.", fault(place, expected, text)) from exc


def _mode(value: Json, faults: list[Fault]) -> Mode | None:
    for mode in Mode:
        if value == mode.value:
            return mode
    faults.append(fault("mode", f"one of {', '.join(Mode)}", value))
    return None


def _limit(value: Json, faults: list[Fault]) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LIMIT:
        faults.append(fault("limit", f"a whole number from 1 to {MAX_LIMIT}", value))
        return None
    return value


def _flag(raw: dict[str, Json], key: str, faults: list[Fault]) -> bool:
    value = raw.get(key)
    if value is not None and not isinstance(value, bool):
        faults.append(fault(key, "true or false", value))
    return value is True


def _numbers(value: Json, mode: Mode | None, faults: list[Fault]) -> tuple[str, ...]:
    items = _items(value, "propertyNumbers", wanted=mode is Mode.SELECTIVE, faults=faults)
    found: dict[str, None] = {}
    for index, item in enumerate(items):
        try:
            found[normalise_property_number(item, f"propertyNumbers[{index}]")] = None
        except InvalidInput as exc:
            faults += exc.faults
    return tuple(found)


def _listings(value: Json, mode: Mode | None, faults: list[Fault]) -> tuple[Listing, ...]:
    listings: list[Listing] = []
    first: dict[str, int] = {}
    for index, item in enumerate(
        _items(value, "listings", wanted=mode is Mode.PUSH, faults=faults)
    ):
        where = f"listings[{index}]"
        if not isinstance(item, dict):
            faults.append(fault(where, "a listing, which is a JSON object", item))
            continue
        try:
            listing = parse_listing(item, where)
        except InvalidInput as exc:
            faults += exc.faults
            continue
        before = first.setdefault(listing.property_number, index)
        if before != index:
            expected = f"a number other than that of listings[{before}]"
            faults.append(fault(f"{where}.propertyNumber", expected, listing.property_number))
        listings.append(listing)
    return tuple(listings)


def _items(value: Json, key: str, *, wanted: bool, faults: list[Fault]) -> list[Json]:
    if not wanted:
        if value is not None and value != []:
            mode = Mode.PUSH if key == "listings" else Mode.SELECTIVE
            faults.append(fault(key, f"nothing, except with mode {mode}", value))
        return []
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ITEMS:
        got = Described(_items_in_words(len(value))) if isinstance(value, list) else value
        faults.append(fault(key, f"an array of 1 to {MAX_ITEMS} items", got))
        return []
    return value


def _items_in_words(count: int) -> str:
    return "an empty array" if count == 0 else f"{count} items"
