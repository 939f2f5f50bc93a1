"""What changed between two versions of a schema, and what that means to readers of the old one.

    for change in differences(old, new):
        change.verdict, change.path, change.text

* `skipped`: an old reader skips it or never meets it, and a new reader knows that old messages lack it.
* `noticed`: an old reader meets something that it does not know, and can tell: a message, the value of an enum.
* `breaks`: an old reader misreads new messages, or a new reader old ones, or both refuse them.

What makes an addition skippable: fields at the end of a block are skipped by the block's length; groups and data at the
end of a message by the end of its frame. Nothing says how long an entry of a group is, nor how many groups come before
data, so a group put before data, and a group or data put into a group, shift what follows.

Invariant: versions between which nothing is found have the same wire format; names and descriptions do not count, but
values are known by their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from statevec.codecs.layout import DataLayout, FieldLayout, GroupLayout, MessageLayout
from statevec.codecs.schema import Schema

Verdict = Literal["skipped", "noticed", "breaks"]
Level = MessageLayout | GroupLayout


@dataclass(frozen=True)
class SchemaChange:
    """One change; `path` is what it is about, dotted, with the message first."""

    verdict: Verdict
    path: str
    text: str


def differences(old: Schema, new: Schema) -> list[SchemaChange]:
    """All changes from `old` to `new`: of the schema, then by message."""
    found = [*_of_schema(old, new)]
    ours = {each.id: each for each in old.messages.values()}
    theirs = {each.id: each for each in new.messages.values()}
    for number in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(number), theirs.get(number)
        if one is None and other is not None:
            found.append(SchemaChange("noticed", other.name, f"new message, id={number}: old readers do not know it"))
        elif other is None and one is not None:
            found.append(SchemaChange("noticed", one.name, f"message removed, id={number}: new readers do not know it"))
        elif one is not None and other is not None:
            if one.name != other.name:
                found.append(SchemaChange("skipped", one.name, f"renamed to {other.name}"))
            found += _Comparison(old.version).level(one, other, one.name)
    if found and new.version <= old.version:
        text = f"the version is not raised: {old.version} to {new.version}, so no reader can tell them apart"
        found.insert(0, SchemaChange("breaks", "schema", text))
    return found


def _of_schema(old: Schema, new: Schema) -> Iterator[SchemaChange]:
    for what, one, other in (("id", old.id, new.id), ("byte order", old.byte_order, new.byte_order)):
        if one != other:
            yield SchemaChange("breaks", "schema", f"{what} changed: {one} to {other}")
    if old.header != new.header:
        yield SchemaChange("breaks", "schema", "the message header is laid out in another way")


class _Comparison:
    """Compares levels; additions must say that they came after `version`."""

    def __init__(self, version: int) -> None:
        self._version = version

    def level(self, old: Level, new: Level, path: str) -> Iterator[SchemaChange]:
        """Changes of a message or of a group's entries."""
        yield from self._fields(old, new, path)
        if new.block_length < old.block_length:
            text = f"the block is shorter: {old.block_length} to {new.block_length} bytes"
            yield SchemaChange("breaks", path, text)
        yield from self._members(old, new, path)

    def _fields(self, old: Level, new: Level, path: str) -> Iterator[SchemaChange]:
        ours = {each.name: each for each in old.fields}
        theirs = {each.name: each for each in new.fields}
        removed = [each for name, each in ours.items() if name not in theirs]
        for name, field in theirs.items():
            if name in ours:
                yield from self._field(ours[name], field, f"{path}.{name}")
                continue
            before = next((each for each in removed if _same_place(each, field)), None)
            if before is not None:
                removed.remove(before)
                yield SchemaChange("skipped", f"{path}.{before.name}", f"renamed to {name}")
            else:
                yield self._new_field(field, f"{path}.{name}")
        for each in removed:
            yield SchemaChange("breaks", f"{path}.{each.name}", "field removed: old readers still look for it")

    def _new_field(self, field: FieldLayout, path: str) -> SchemaChange:
        if field.presence == "constant":
            return SchemaChange("skipped", path, "new constant: it takes no bytes")
        if field.since <= self._version:
            text = f"new field without sinceVersion above {self._version}: new readers expect it in old messages"
            return SchemaChange("breaks", path, text)
        return SchemaChange("skipped", path, f"new field since version {field.since}: the block's length skips it")

    def _field(self, old: FieldLayout, new: FieldLayout, path: str) -> Iterator[SchemaChange]:
        if (old.offset, old.size) != (new.offset, new.size):
            text = f"moved from {old.offset}, {old.size} bytes, to {new.offset}, {new.size} bytes"
            yield SchemaChange("breaks", path, text)
        elif (old.primitive, old.length, old.kind) != (new.primitive, new.length, new.kind):
            yield SchemaChange("breaks", path, f"type changed: {_type_text(old)} to {_type_text(new)}")
        if old.presence != new.presence:
            yield SchemaChange("breaks", path, f"presence changed: {old.presence} to {new.presence}")
        elif (old.null, old.constant) != (new.null, new.constant) and not _both_nan(old, new):
            yield SchemaChange("breaks", path, "its null or constant value changed")
        if (old.minimum, old.maximum) != (new.minimum, new.maximum):
            yield SchemaChange("noticed", path, f"range changed: {_range(old)} to {_range(new)}")
        if old.composite is not None and new.composite is not None:
            theirs = {each.name: each for each in new.composite.fields}
            for each in old.composite.fields:
                if each.name in theirs:
                    yield from self._field(each, theirs[each.name], f"{path}.{each.name}")
                else:
                    yield SchemaChange("breaks", f"{path}.{each.name}", "member removed")
        yield from _named_values(old, new, path)

    def _members(self, old: Level, new: Level, path: str) -> Iterator[SchemaChange]:
        ours: list[GroupLayout | DataLayout] = [*old.groups, *old.data]
        theirs: list[GroupLayout | DataLayout] = [*new.groups, *new.data]
        names = [each.name for each in ours]
        kept = [each.name for each in theirs if each.name in names]
        for each in ours:
            if each.name not in kept:
                yield SchemaChange("breaks", f"{path}.{each.name}", f"{_kind(each)} removed: old readers look for it")
        if kept != [name for name in names if name in kept]:
            yield SchemaChange("breaks", path, f"groups and data in another order: {', '.join(kept)}")
        for place, member in enumerate(theirs):
            before = next((each for each in ours if each.name == member.name), None)
            if before is None:
                follows = next((each.name for each in theirs[place + 1 :] if each.name in names), "")
                yield self._new_member(new, member, f"{path}.{member.name}", follows)
            else:
                yield from self._member(before, member, f"{path}.{member.name}")

    def _new_member(self, level: Level, member: GroupLayout | DataLayout, path: str, follows: str) -> SchemaChange:
        kind = _kind(member)
        if follows:
            return SchemaChange("breaks", path, f"new {kind} before {follows!r}: old readers take it for that")
        if isinstance(level, GroupLayout):
            return SchemaChange("breaks", path, f"new {kind} in a group: old readers take it for the next entry")
        if member.since_version <= self._version:
            text = f"new {kind} without sinceVersion above {self._version}: new readers expect it in old messages"
            return SchemaChange("breaks", path, text)
        text = f"new {kind} since version {member.since_version}, at the end: the frame's length skips it"
        return SchemaChange("skipped", path, text)

    def _member(
        self, old: GroupLayout | DataLayout, new: GroupLayout | DataLayout, path: str
    ) -> Iterator[SchemaChange]:
        if isinstance(old, GroupLayout) and isinstance(new, GroupLayout):
            if old.dimensions != new.dimensions:
                yield SchemaChange("breaks", path, "the group's dimensions are laid out in another way")
            yield from self.level(old, new, path)
        elif isinstance(old, DataLayout) and isinstance(new, DataLayout):
            if old.length_field != new.length_field:
                yield SchemaChange("breaks", path, "the data's length is of another type")
            if old.encoding != new.encoding:
                text = f"character encoding changed: {old.encoding or 'none'} to {new.encoding or 'none'}"
                yield SchemaChange("noticed", path, text)
        else:
            yield SchemaChange("breaks", path, f"{_kind(old)} became {_kind(new)}")


def _kind(member: GroupLayout | DataLayout) -> str:
    return "group" if isinstance(member, GroupLayout) else "data"


def _type_text(field: FieldLayout) -> str:
    return f"{field.kind} ({field.primitive.name}, {field.length})"


def _range(field: FieldLayout) -> str:
    return f"{field.minimum} … {field.maximum}"


def _same_place(old: FieldLayout, new: FieldLayout) -> bool:
    def place(field: FieldLayout) -> tuple[object, ...]:
        return field.id, field.offset, field.primitive, field.length, field.kind, field.presence

    return place(old) == place(new)


def _both_nan(old: FieldLayout, new: FieldLayout) -> bool:
    """Nulls of floats are NaNs, which are never equal."""
    return all(isinstance(each.null, float) and each.null != each.null for each in (old, new))


def _named_values(old: FieldLayout, new: FieldLayout, path: str) -> Iterator[SchemaChange]:
    """Changes of the values of an enum or the choices of a set."""
    if old.enum is not None and new.enum is not None:
        what, ours, theirs = "value", dict(old.enum.values), dict(new.enum.values)
    elif old.choices is not None and new.choices is not None:
        what, ours, theirs = "choice", dict(old.choices.choices), dict(new.choices.choices)
    else:
        return
    for name, number in theirs.items():
        if name not in ours and number in ours.values():
            former = next(each for each, value in ours.items() if value == number)
            if former not in theirs:
                yield SchemaChange("noticed", path, f"{what} {former} is called {name} now")
                continue
        if name not in ours:
            yield SchemaChange("noticed", path, f"new {what} {name}: old readers see a number without a name")
        elif ours[name] != number:
            yield SchemaChange("breaks", path, f"{what} {name} changed from {ours[name]} to {number}")
    for name, number in ours.items():
        if name not in theirs and number not in theirs.values():
            yield SchemaChange("noticed", path, f"{what} {name} removed: new readers see a number without a name")
