"""Views of whole SBE messages: the block's fields as attributes, groups to iterate over, data as text or memory.

    view = schema.decode(buffer)
    for figure in view.fuelFigures:         # len(view.fuelFigures), view.fuelFigures[2]
        figure.speed, figure.usageDescription
    view.manufacturer                       # text where the schema names an encoding, else a memoryview
    view.to_dict(), view.to_json(), view.decoded_length

Invariants
    A view holds the buffer, offsets and the limit beyond which it never reads. Nothing is copied but text, and whatever
    `to_dict` makes.
    Groups and data are found anew at each access, each count and length checked again: the buffer may change meanwhile.
    The class of a view is made for one acting version (`view.version` says which the message has); a newer message is
    read as one of the schema's own.

The buffer belongs to the caller. A crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from statevec.codecs.block_decoder import make_block_reader
from statevec.codecs.errors import UnknownEnumValueError
from statevec.codecs.field_codec import Dialect, FieldCodec
from statevec.codecs.flyweight import TAKEN, SbeDialect, SbeView, as_bytes, block_members
from statevec.codecs.header import HeaderCodec
from statevec.codecs.json_form import to_json
from statevec.codecs.layout import LAST_VERSION, FieldLayout, GroupLayout, MessageLayout, attribute_name
from statevec.codecs.levels import DataCodec, GroupCodec, LevelCodec


class GroupView:
    """The entries of a group: a sequence of views. Made when the attribute is read; `len` costs nothing."""

    __slots__ = ("_block_length", "_buffer", "_codec", "_count", "_entry", "_first", "_limit")

    def __init__(self, codec: GroupCodec, entry: type[EntryView], buffer: Any, at: int, limit: int) -> None:
        self._codec = codec
        self._entry = entry
        self._buffer = buffer
        self._limit = limit
        self._first, self._block_length, self._count = codec.begin(buffer, at, limit)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        make, buffer, block_length, limit = self._entry, self._buffer, self._block_length, self._limit
        level = self._codec.entry
        position = self._first
        for _ in range(self._count):
            tail = level.tail(position, block_length, limit)
            yield make(buffer, position, tail, limit)
            position = level.skip(buffer, tail, limit)

    def __getitem__(self, number: int) -> Any:
        index = number + self._count if number < 0 else number
        if not 0 <= index < self._count:
            raise IndexError(f"entry {number} of {self._count}")
        level, position = self._codec.entry, self._first
        if level.members:
            for _ in range(index):
                position = level.enter(self._buffer, position, self._block_length, self._limit)
        else:
            position += index * self._block_length
        tail = level.tail(position, self._block_length, self._limit)
        return self._entry(self._buffer, position, tail, self._limit)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupView) and self.to_list() == other.to_list()

    __hash__ = None  # type: ignore[assignment]  # what it shows may change

    def to_list(self) -> list[dict[str, Any]]:
        """The entries as `to_dict` shows them."""
        return [each.to_dict() for each in self]

    def __repr__(self) -> str:
        return f"[{', '.join(repr(each) for each in self)}]"


class LevelView(SbeView):
    """What views of messages and of entries share: the way to groups and data."""

    __slots__ = ()
    layout: ClassVar[Any]
    _level: ClassVar[LevelCodec]
    _children: ClassVar[tuple[tuple[str, Any], ...]]

    def _extent(self) -> tuple[int, int]:
        """(end of the block, limit)."""
        raise NotImplementedError

    def _whole_dict(self) -> dict[str, Any]:
        """`to_dict` where there are groups or data."""
        tail, limit = self._extent()
        return self._level.decode(self._buffer, self._offset, tail, limit)[0]

    def _whole_tuple(self) -> tuple[Any, ...]:
        """`to_tuple` where there are groups or data."""
        tail, limit = self._extent()
        return self._level.decode_tuple(self._buffer, self._offset, tail, limit)[0]

    def to_json(self) -> str:
        """`to_dict` as JSON: bytes as {"hex": …}, infinities and NaN as text. `Schema.from_json` takes it back."""
        return to_json(self.to_dict())

    def verify(self) -> None:
        super().verify()
        for name, _ in self._children:
            child = getattr(self, name)
            if isinstance(child, GroupView):
                for each in child:
                    each.verify()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LevelView) or (self._message, self._path) != (other._message, other._path):
            return False
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        members = []
        for field in self.layout.fields:
            members.append((field.name, attribute_name(field.name, TAKEN)))
        members += [(name, name) for name, _ in self._children]
        values = []
        for name, attribute in members:
            try:
                value = getattr(self, attribute)
                shown = bytes(value) if isinstance(value, memoryview) else value
                values.append(f"{name}={shown!r}")
            except Exception as error:  # a view of broken bytes is looked at while debugging: it must print
                values.append(f"{name}=<{error}>")
        return f"{self._name}({', '.join(values)})"


class EntryView(LevelView):
    """An entry of a group. `_tail` is the end of its block, `_limit` the end of what may be read."""

    __slots__ = ("_limit", "_tail")

    def __init__(self, buffer: Any, offset: int, tail: int, limit: int) -> None:
        self._buffer = buffer
        self._offset = offset
        self._tail = tail
        self._limit = limit

    def _extent(self) -> tuple[int, int]:
        return self._tail, self._limit


class MessageView(LevelView):
    """A message. Build it with the offset of its header; nothing is checked (see `Schema.decode`)."""

    __slots__ = ()
    layout: ClassVar[MessageLayout]
    empty_block: ClassVar[bytes]
    """A block in which optional fields are null and all else is zero."""
    _header: ClassVar[HeaderCodec]
    _header_size: ClassVar[int]
    _raw: ClassVar[Any]

    def __init__(self, buffer: Any, offset: int = 0, limit: int | None = None) -> None:
        self._buffer = buffer
        self._offset = offset + self._header_size

    def wrap(self, buffer: Any, offset: int = 0, limit: int | None = None) -> MessageView:
        """Look at another message of the same kind and acting version, whose header is at `offset`."""
        self._buffer = buffer
        self._offset = offset + self._header_size
        return self

    def _extent(self) -> tuple[int, int]:
        tail: int = self._offset + self._header.read(self._buffer, self._offset - self._header.size)[0]
        return tail, len(self._buffer)

    @property
    def header(self) -> dict[str, int]:
        """Block length, template id, schema id and version, as the message says."""
        names = ("blockLength", "templateId", "schemaId", "version")
        return dict(zip(names, self._header.read(self._buffer, self._offset - self._header.size), strict=True))

    @property
    def version(self) -> int:
        """The acting version: that of the schema with which the message was written."""
        return self._header.read(self._buffer, self._offset - self._header.size)[3]

    @property
    def is_newer(self) -> bool:
        """Whether it was written with a newer schema. What that added to blocks and behind the last data is skipped;
        what it put elsewhere cannot be told from the bytes: `statevec sbe diff` says whether it did.
        """
        return self.version > self._header.version

    @property
    def decoded_length(self) -> int:
        """Bytes from the header to the end of the last member that this schema knows."""
        tail, limit = self._extent()
        return self._level.skip(self._buffer, tail, limit) - self._offset + self._header.size

    def block_dict(self) -> dict[str, Any]:
        """Like `to_dict`, of the fields of the block only."""
        raise NotImplementedError  # each class has its own: see `block_members`

    def block_tuple(self) -> tuple[Any, ...]:
        """Like `to_tuple`, of the fields of the block only."""
        raise NotImplementedError

    def raw(self) -> tuple[Any, ...]:
        """The block as `struct` unpacks it, composites and arrays laid out flat: enums and sets as integers, text and
        arrays of more than 16 as bytes, nulls as encoded, no constants. The fastest way to read a whole block.
        """
        values: tuple[Any, ...] = self._raw(self._buffer, self._offset)
        return values


class _LimitedView(MessageView):
    """A message with groups or data: it knows where what may be read ends."""

    __slots__ = ("_limit",)

    def __init__(self, buffer: Any, offset: int = 0, limit: int | None = None) -> None:
        buffer, length = as_bytes(buffer)
        self._buffer = buffer
        self._offset = offset + self._header_size
        self._limit = length if limit is None else min(limit, length)

    def wrap(self, buffer: Any, offset: int = 0, limit: int | None = None) -> MessageView:
        self.__init__(buffer, offset, limit)  # type: ignore[misc]  # to begin anew is what it means
        return self

    def _extent(self) -> tuple[int, int]:
        block_length = self._header.read(self._buffer, self._offset - self._header.size)[0]
        return self._level.tail(self._offset, block_length, self._limit), self._limit


assert {name for name in dir(MessageView) if not name.startswith("_")} <= TAKEN


def _group_property(number: int, codec: GroupCodec, entry: type[EntryView]) -> property:
    def get(view: Any) -> GroupView:
        tail, limit = view._extent()
        at = view._level.place(view._buffer, tail, limit, number)
        return GroupView(codec, entry, view._buffer, at, limit)

    return property(get)


def _data_property(number: int, codec: DataCodec) -> property:
    def get(view: Any) -> str | memoryview:
        tail, limit = view._extent()
        buffer = view._buffer
        start, end = codec.bounds(buffer, view._level.place(buffer, tail, limit, number), limit)
        if codec.encoding is None:
            return memoryview(buffer)[start:end]
        return codec.value(buffer, start, end)  # type: ignore[return-value]  # text, as there is an encoding

    return property(get)


def _level_members(level: LevelCodec) -> dict[str, Any]:
    """What the class of a level's view has beyond its block."""
    members: dict[str, Any] = {"layout": level.layout, "_level": level}
    if level.members:
        members.update(to_dict=LevelView._whole_dict, to_tuple=LevelView._whole_tuple)
    children = []
    for number, (name, codec) in enumerate(level.members):
        attribute = attribute_name(name, TAKEN)
        if isinstance(codec, GroupCodec):
            members[attribute] = _group_property(number, codec, _entry_class(codec))
        else:
            members[attribute] = _data_property(number, codec)
        children.append((attribute, codec))
    return members | {"_children": tuple(children)}


def _entry_class(codec: GroupCodec) -> type[EntryView]:
    level = codec.entry
    layout: GroupLayout = codec.layout
    members = block_members(layout.name, layout.fields, level.message, level.path, 0, level.version)
    return type(layout.name, (EntryView,), members | _level_members(level))


def _empty(block: bytearray, fields: tuple[FieldLayout, ...], base: int, dialect: Dialect) -> None:
    for field in fields:
        if field.composite is not None:
            _empty(block, field.composite.fields, base + field.offset, dialect)
        elif field.presence == "optional" and field.kind in ("integer", "float", "enum"):
            codec = FieldCodec(field, dialect)
            codec.struct.pack_into(block, base + field.offset, codec.encode(None))


def empty_block(layout: MessageLayout | GroupLayout) -> bytes:
    """A block in which optional fields are null and all else is zero."""
    block = bytearray(layout.block_length)
    _empty(block, layout.fields, 0, SbeDialect(layout.name))
    return bytes(block)


def message_view_class(
    layout: MessageLayout, header: HeaderCodec, version: int = LAST_VERSION, base: type[MessageView] | None = None
) -> type[MessageView]:
    """The view class of a message of one acting version; `base` is the class of the schema's own version."""
    level = LevelCodec(layout, layout.name, "", version, lambda path: SbeDialect(layout.name, path))
    members = block_members(layout.name, layout.fields, layout.name, "", 0, version) | _level_members(level)
    members.update(empty_block=empty_block(layout), _header=header, _header_size=header.size)
    members["_raw"] = staticmethod(make_block_reader(layout.fields, SbeDialect(layout.name), version))
    parent = base or (MessageView if layout.is_flat else _LimitedView)
    return type(layout.name, (parent,), members)


__all__ = ["EntryView", "GroupView", "MessageView", "UnknownEnumValueError", "empty_block", "message_view_class"]
