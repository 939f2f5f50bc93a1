"""The interpreted twin of `native_message`: whole messages as handlers see them, in plain Python.

    make = message_maker(schema, "Order")
    view = make(buffer, length)             # the message's bytes, header first; MalformedMessage if they are broken

Invariants
    Values are those of `accessors.view_class`: text and data as bytes, null as None, u64 as signed bits. What came
    later than the message reads as null; groups are looped over and counted, nothing else.
    Counts and lengths are judged by `levels.py`, all of them before the handler sees anything.

The buffer is a private copy of a message; a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from statevec.codecs.accessors import HANDLER, BlockView, make_getter, refuse_assignment, view_class
from statevec.codecs.errors import DecodeError
from statevec.codecs.evolution import acting_version
from statevec.codecs.header import HeaderCodec
from statevec.codecs.layout import FieldLayout, GroupLayout, MessageLayout, attribute_name
from statevec.codecs.levels import DataCodec, GroupCodec, LevelCodec
from statevec.codecs.reader_fields import is_later, null_block, reader_fields
from statevec.ipc.faults import MalformedMessage


class HandlerLevel(BlockView):
    """A message or an entry. `_tail` is the end of its block, `_limit` the end of the message, `_members` the names of
    its groups and data.
    """

    __slots__ = ("_limit", "_tail")
    _members: tuple[str, ...] = ()

    def __init__(self, buffer: Any, offset: int, tail: int, limit: int) -> None:
        self._buffer = buffer
        self._offset = offset
        self._tail = tail
        self._limit = limit


class HandlerGroup:
    """The entries of a group."""

    __slots__ = ("_begin", "_buffer", "_entry", "_level", "_limit")

    def __init__(self, codec: GroupCodec, entry: type[HandlerLevel], buffer: Any, at: int, limit: int) -> None:
        self._level = codec.entry
        self._entry = entry
        self._buffer = buffer
        self._limit = limit
        self._begin = codec.begin(buffer, at, limit)

    def __len__(self) -> int:
        return self._begin[2]

    def __bool__(self) -> bool:
        raise TypeError("a group has no truth value: use len()")

    def __iter__(self) -> Iterator[HandlerLevel]:
        position, block_length, count = self._begin
        buffer, limit, level = self._buffer, self._limit, self._level
        for _ in range(count):
            tail = position + block_length
            yield self._entry(buffer, position, tail, limit)
            position = level.skip(buffer, tail, limit)


def _member_getter(
    level: LevelCodec, number: int, codec: GroupCodec | DataCodec, entry: Any
) -> Callable[[HandlerLevel], Any]:
    def get_group(view: HandlerLevel) -> HandlerGroup:
        at = level.place(view._buffer, view._tail, view._limit, number)
        assert isinstance(codec, GroupCodec)
        return HandlerGroup(codec, entry, view._buffer, at, view._limit)

    def get_data(view: HandlerLevel) -> bytes:
        at = level.place(view._buffer, view._tail, view._limit, number)
        start, end = codec.bounds(view._buffer, at, view._limit)  # type: ignore[union-attr]
        return bytes(view._buffer[start:end])

    return get_group if isinstance(codec, GroupCodec) else get_data


def _field_getter(field: FieldLayout, name: str, version: int, null: bytes) -> Callable[[Any], Any]:
    nested = None
    if field.composite is not None:
        nested = view_class(f"{name}.{field.name}", field.composite.fields, False)
    get = make_getter(field, HANDLER, nested)
    if not field.is_absent(version) or not is_later(field):
        return get
    empty = BlockView(null, 0)
    return lambda view: get(empty)


def _level_class(level: LevelCodec, name: str) -> type[HandlerLevel]:
    layout: MessageLayout | GroupLayout = level.layout
    fields = reader_fields(layout.fields)
    null = null_block(fields, layout.block_length)
    members: dict[str, Any] = {"__slots__": (), "_layouts": fields, "_name": name, "__module__": __name__}
    members["_members"] = tuple(attribute_name(each) for each, _ in level.members)
    refuse = refuse_assignment(name)
    for field, original in zip(fields, layout.fields, strict=True):
        get = _field_getter(field, name, level.version if original.is_absent(level.version) else field.since, null)

        def assign(view: Any, value: Any, field: FieldLayout = field) -> None:
            refuse(view, field)

        members[field.attribute] = property(get, assign)
    for number, (member_name, codec) in enumerate(level.members):
        entry = _level_class(codec.entry, f"{name}.{member_name}") if isinstance(codec, GroupCodec) else None
        members[attribute_name(member_name)] = property(_member_getter(level, number, codec, entry))
    return type(name, (HandlerLevel,), members)


def message_maker(layout: MessageLayout, header: HeaderCodec) -> Callable[[Any, int], HandlerLevel]:
    """The function (buffer, length) -> view of a message whose header has been checked, for any acting version."""
    made: dict[int, tuple[type[HandlerLevel], LevelCodec]] = {}

    def make(buffer: Any, length: int) -> HandlerLevel:
        block_length, _, _, version = header.read(buffer, 0)
        acting = acting_version(layout, version)
        if acting not in made:
            level = LevelCodec(layout, layout.name, "", acting, lambda path: HANDLER)
            made[acting] = (_level_class(level, layout.name), level)
        view, level = made[acting]
        tail = header.size + block_length
        try:
            level.skip(buffer, tail, length)
        except DecodeError as error:
            raise MalformedMessage(str(error)) from error
        return view(buffer, header.size, tail, length)

    return make
