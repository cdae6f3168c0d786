"""The codec: what a source said as a typed `Listing`; canonical form, digest, exact JSON."""

from listings.codec.canonical import (
    answer_digest,
    canonical,
    decode_json,
    digest,
    encode_json,
)
from listings.codec.listing import (
    Row,
    listing_from_row,
    merge,
    normalise_property_number,
    parse_listing,
    row_values,
    stored_values,
    to_json,
)

__all__ = [
    "Row",
    "answer_digest",
    "canonical",
    "decode_json",
    "digest",
    "encode_json",
    "listing_from_row",
    "merge",
    "normalise_property_number",
    "parse_listing",
    "row_values",
    "stored_values",
    "to_json",
]
