"""Writing a message in place, part by part: the fields of a block in any order, groups and data in the schema's.

    writer = schema.writer("Car", buffer, offset)       # without a buffer: memory of its own, which grows
    writer.serialNumber = 1234
    for speed in (30, 55):
        figure = writer.fuelFigures.append()
        figure.speed = speed
        figure.usageDescription = "text"
    writer.manufacturer = "Honda"
    writer.length, writer.message()

Invariants
    The bytes are a whole message at any time: what was not written yet is null, zero or empty.
    An entry is appended to the last group that was begun, at any depth, or to a later one; data is assigned once, in
    order. Anything else is an OrderError, and nothing is written.
    A value, count or length that does not fit is refused before a byte is written.

The buffer belongs to the caller; a crash leaves a message whose last part is missing or cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from statevec.codecs.errors import MissingFieldError, NoSpaceError, OrderError, no_such_field
from statevec.codecs.flyweight import SbeView, as_bytes
from statevec.codecs.layout import attribute_name
from statevec.codecs.message_encoder import DataEncoder, GroupEncoder, LevelEncoder

if TYPE_CHECKING:
    from statevec.codecs.schema import Schema


class _Target:
    """The buffer, the end of the message, and the path of levels that are open."""

    def __init__(self, buffer: Any, start: int, grows: bool) -> None:
        self.buffer = buffer
        self.start = start
        self.end = start
        self.grows = grows
        self.open: list[LevelWriter] = []

    def insert(self, at: int, content: bytes) -> None:
        """Put bytes at an offset of the message; what lies behind moves up."""
        room = len(self.buffer) - self.end
        if len(content) > room:
            if not self.grows:
                raise NoSpaceError(f"no room: needed={len(content)} available={room}", self.open[0]._message)
            self.buffer.extend(bytes(max(len(content) - room, len(self.buffer))))
        behind = bytes(self.buffer[at : self.end])
        self.end += len(content)
        self.buffer[at : self.end] = content + behind


class LevelWriter:
    """A message or an entry being written; fields are attributes, groups have `append`, data is assigned."""

    _own = ("_block", "_written", "_target", "_encoder", "_view", "_behind", "_depth", "_groups", "_message")

    def __init__(self, target: _Target, encoder: LevelEncoder, block: int, behind: int) -> None:
        depth = len(target.open)
        for name, value in (
            ("_target", target),
            ("_encoder", encoder),
            ("_block", block),
            ("_behind", behind),
            ("_written", -1),
            ("_depth", depth),
            ("_message", encoder._message),
            ("_groups", {}),
            ("_view", encoder._view),
        ):
            object.__setattr__(self, name, value)
        target.open.append(self)

    def _member(self, attribute: str) -> int:
        for number, (name, _) in enumerate(self._encoder.members):
            if attribute_name(name) == attribute:
                return number
        return -1

    def _behind_member(self, number: int) -> int:
        """Bytes of the message behind member `number`: all of them empty."""
        return self._behind + sum(len(each.empty) for _, each in self._encoder.members[number + 1 :])

    def _check_open(self, number: int) -> None:
        name, member = self._encoder.members[number]
        path = f"{self._encoder._path}{name}"
        if self._depth >= len(self._target.open) or self._target.open[self._depth] is not self:
            raise OrderError("the entry is closed: another part was begun behind it", self._message, path)
        if number < self._written or (number == self._written and isinstance(member, DataEncoder)):
            raise OrderError("groups and data are written once, in the schema's order", self._message, path)

    def __getattr__(self, attribute: str) -> Any:
        number = self._member(attribute)
        if number >= 0:
            member = self._encoder.members[number][1]
            if isinstance(member, GroupEncoder):
                return GroupWriter(self, number, member)
            raise AttributeError(f"{attribute!r} is data: it can be assigned here, not read")
        return getattr(self._view(self._target.buffer, self._block), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        number = self._member(attribute)
        if number < 0:
            view = self._view(self._target.buffer, self._block)
            if not isinstance(getattr(type(view), attribute, None), property):
                known = [*(each.attribute for each in view._layouts), *(name for name, _ in self._encoder.members)]
                raise no_such_field(known, self._message, f"{self._encoder._path}{attribute}")
            setattr(view, attribute, value)
            return
        member = self._encoder.members[number][1]
        if not isinstance(member, DataEncoder):
            raise AttributeError(f"{attribute!r} is a group: use .append()")
        encoded = member.encode(value)
        self._check_open(number)
        target = self._target
        behind = self._behind_member(number)
        target.insert(target.end - behind, encoded[len(member.empty) :])
        start = target.end - behind - len(encoded)
        target.buffer[start : start + len(member.empty)] = encoded[: len(member.empty)]
        self._began(number)

    def _began(self, number: int) -> None:
        object.__setattr__(self, "_written", number)
        del self._target.open[self._depth + 1 :]

    def append_entry(self, number: int, member: GroupEncoder, values: dict[str, Any]) -> LevelWriter:
        """What `GroupWriter.append` does."""
        self._check_open(number)
        target, groups = self._target, self._groups
        behind = self._behind_member(number)
        at = target.end - behind
        dimensions, count = groups.get(number, (at - len(member.empty), 0))
        image = member.dimensions(count + 1)
        target.insert(at, member.entry.empty)
        target.buffer[dimensions : dimensions + len(image)] = image
        groups[number] = (dimensions, count + 1)
        self._began(number)
        entry = LevelWriter(target, member.entry, at, behind)
        entry.assign(values)
        return entry

    def assign(self, values: dict[str, Any]) -> None:
        """Assign several fields of the block, and data, by name."""
        for name, value in values.items():
            setattr(self, attribute_name(name), value)

    def __repr__(self) -> str:
        return f"<writer of {self._encoder.layout.name} at {self._block}>"


class GroupWriter:
    """A group being written."""

    __slots__ = ("_level", "_member", "_number")

    def __init__(self, level: LevelWriter, number: int, member: GroupEncoder) -> None:
        self._level = level
        self._number = number
        self._member = member

    def append(self, **values: Any) -> LevelWriter:
        """A new entry behind the others, with these fields; its other fields are null or zero."""
        return self._level.append_entry(self._number, self._member, values)

    def extend(self, entries: Iterable[dict[str, Any]]) -> None:
        """Append an entry for each mapping of fields."""
        for each in entries:
            self.append(**each)

    def __len__(self) -> int:
        return int(self._level._groups.get(self._number, (0, 0))[1])


class MessageWriter(LevelWriter):
    """The message itself: `length`, `message()`, `check()`."""

    @property
    def length(self) -> int:
        """Bytes written so far, header included: always a whole message."""
        return self._target.end - self._target.start

    def message(self) -> memoryview:
        """The message where it lies."""
        self._check_counts()
        return memoryview(self._target.buffer)[self._target.start : self._target.end]

    def _check_counts(self) -> None:
        for number, (name, member) in enumerate(self._encoder.members):
            if isinstance(member, GroupEncoder) and self._groups.get(number, (0, 0))[1] < member.lowest:
                raise MissingFieldError(f"needs {member.lowest} entries", self._message, name)


def message_writer(schema: Schema, name: str, buffer: Any, offset: int) -> MessageWriter:
    """A writer in `buffer` at `offset`, or in a bytearray of its own; the empty message is written at once."""
    encoder = schema.encoder(name)
    image = schema.image(name)
    grows = buffer is None
    if grows:
        buffer, offset = bytearray(2 * len(image)), 0
    buffer, _ = as_bytes(buffer)
    schema.create(name, buffer, offset)
    target = _Target(buffer, offset, grows)
    target.end = offset + len(image)
    return MessageWriter(target, encoder, offset + schema.header.size, 0)


__all__ = ["GroupWriter", "LevelWriter", "MessageWriter", "SbeView", "message_writer"]
