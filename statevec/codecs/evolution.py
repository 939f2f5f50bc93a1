"""Versions of messages: which of them look different to a reader.

A reader needs one decoder for each set of fields, groups and data that a message may have, not one for each version
number: a hostile number cannot make it build thousands.

Nothing here keeps state.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cache

from statevec.codecs.layout import LAST_VERSION, GroupLayout, MessageLayout


def _since_versions(level: MessageLayout | GroupLayout) -> Iterator[int]:
    yield from (each.since for each in level.fields)
    yield from (each.since_version for each in level.data)
    for group in level.groups:
        yield group.since_version
        yield from _since_versions(group)


@cache
def _versions(layout: MessageLayout) -> tuple[int, ...]:
    return tuple(sorted({0, *_since_versions(layout)}))


def acting_version(layout: MessageLayout, version: int) -> int:
    """The last version, up to the given one, in which the message got something: the two look the same.

    LAST_VERSION if nothing came later.
    """
    versions = _versions(layout)
    found = bisect_right(versions, version)
    return LAST_VERSION if found == len(versions) else versions[found - 1]
