"""
Ways in which a new service can be wrong, each with what a comparison must find of it.

Both sides read this: the drifting service (`tests.support.drifting_new`) does it to real requests,
and a test knows from the same choice which listings it was done to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from listings.model import Listing

RECORD = "records[*]"
DIGEST = "records[*].digest"


class Found(NamedTuple):
    """One difference as the comparison names it."""

    number: str
    field: str
    kind: str
    cause: str


@dataclass(frozen=True)
class Drift:
    """What is done to a chosen listing (None: it is left out), and what must be found of it."""

    does: Callable[[Listing], Listing | None]
    finds: Callable[[str], tuple[Found, ...]]
    only_new: bool | None = None
    """Only listings that are new (True), or that stand already (False)."""

    def touches(self, name: str, number: str, share: float) -> bool:
        """Whether this listing is chosen; the same for whoever asks."""
        new = number.startswith("new-")
        if self.only_new is not None and new is not self.only_new:
            return False
        drawn = blake2b(f"{name} {number}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn) < share * 2**64


def listing(number: str, *, later: bool) -> dict[str, Any]:
    """A listing as it is pushed: what stood before, or what comes later."""
    index = int(number.rpartition("-")[2])
    return {
        "propertyNumber": number,
        "title": f"梅田ビル {index} {'新' if later else '旧'}",
        "address": f"大阪府大阪市北区梅田1-{index}-{7 if later else 5}",
        "priceYen": 38_000_000 + 1_234 * index + (500_000 if later else 0),
        "floors": 3 + index % 9 + later,
        "longitude": 135.1234567,
        "sourceUpdatedAt": f"2025-0{2 if later else 1}-03T04:05:06Z",
        "extra": {
            "tags": ["駅近", "角地", "later" if later else "before"],
            "rank": 40 + later,
            "token": f"0198a6c2-7d3e-7c4b-8f00-{index:012}",
        },
    }


def _fields(**changes: Any) -> Callable[[Listing], Listing]:
    return lambda said: replace(said, fields={**said.fields, **changes})


def _extra(name: str, change: Callable[[Any], Any]) -> Callable[[Listing], Listing]:
    def changed(said: Listing) -> Listing:
        extra = dict(said.extra or {})
        return replace(said, extra={**extra, name: change(extra[name])})

    return changed


def _on(name: str, change: Callable[[Any], Any]) -> Callable[[Listing], Listing]:
    return lambda said: replace(said, fields={**said.fields, name: change(said.fields[name])})


def _without(*names: str) -> Callable[[Listing], Listing]:
    return lambda said: replace(
        said, fields={key: value for key, value in said.fields.items() if key not in names}
    )


def _as(change: Callable[[str], str]) -> Callable[[Listing], Listing]:
    return lambda said: replace(said, property_number=change(said.property_number))


def _one(field: str, kind: str, cause: str) -> Callable[[str], tuple[Found, ...]]:
    return lambda number: (Found(number, field, kind, cause),)


def _elsewhere(change: Callable[[str], str]) -> Callable[[str], tuple[Found, ...]]:
    return lambda number: (
        Found(number, RECORD, "missing", "real"),
        Found(change(number), RECORD, "extra", "real"),
    )


def spare(number: str) -> str:
    """A listing that stands already and that nobody speaks of."""
    return number.replace("new-", "spare-")


def double(number: str) -> str:
    """The listing that a confused service makes beside the one that stands."""
    return f"{number}-copy"


DRIFTS: dict[str, Drift] = {
    "forgets a field of an existing row": Drift(
        _without("price_yen"), _one("priceYen", "value", "real"), only_new=False
    ),
    "updates where it should create": Drift(_as(spare), _elsewhere(spare), only_new=True),
    "creates where it should update": Drift(_as(double), _elsewhere(double), only_new=False),
    "leaves a listing out": Drift(lambda _: None, _one(RECORD, "missing", "real")),
    "keeps two fields as they were": Drift(
        _without("title", "address"),
        lambda number: (
            Found(number, "title", "value", "real"), Found(number, "address", "value", "real"),
        ),
        only_new=False,
    ),
    "clears a field": Drift(_fields(floors=None), _one("floors", "missing", "real")),
    "fills in a field": Drift(_fields(layout="1K"), _one("layout", "extra", "real")),
    "rounds a coordinate": Drift(
        _on("longitude", lambda value: round(value, 4)), _one("longitude", "value", "precision")
    ),
    "cuts a text": Drift(_on("address", lambda text: text[:-2]), _one("address", "value", "real")),
    "writes another type": Drift(
        _extra("rank", lambda rank: [rank]), _one("extra.rank", "type", "real")
    ),
    "turns a list round": Drift(
        _extra("tags", lambda tags: tags[::-1]), _one("extra.tags", "order", "order")
    ),
    "shifts the time zone": Drift(
        _on("source_updated_at", lambda at: at + timedelta(hours=9)),
        _one("sourceUpdatedAt", "value", "time_zone"),
    ),
    "makes up a value": Drift(
        _extra("token", lambda token: "ffffffff" + token[8:]),
        _one("extra.token", "value", "generated"),
    ),
    "spells a text its own way": Drift(
        _on("title", lambda text: text.replace(" ", "\u3000").replace("梅田ビル", "梅田ﾋﾞﾙ")),
        _one("title", "format", "format_only"),
    ),
    "refuses a listing": Drift(_fields(price_yen=10**30), _one(DIGEST, "missing", "real")),
}  # fmt: skip
HARMLESS = frozenset({"spells a text its own way"})
