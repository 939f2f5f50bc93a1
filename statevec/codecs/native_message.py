"""Whole messages in compiled code: fields that came later, groups to loop over, data as a view of its bytes.

    for leg in message.legs: …          len(message.legs), leg.price, leg.fills
    message.note == b"text"             len(message.note); request.symbol = message.note copies it

    level   {address of the block, its end, end of the message, acting version}
    group   {address of the first entry, block length, count, end of the message, acting version}
    data    {address, length}

Invariants
    A message was walked (`walk.py`) before its value was made, so that its counts and lengths are borne out by bytes;
    finding a group or data walks again, and a walk that fails is the fault MALFORMED_MESSAGE, never a wild read.
    A field that came later reads from a constant image of its null when the message is too old, so no byte behind an
    old block is looked at. `handler_view` gives Python objects of the same behaviour.

Everything lives in registers: a crash leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import RefType, iternext_impl, lower_builtin, lower_getattr_generic
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global, signature
from numba.extending import infer_getattr, models, register_model

from statevec.codecs.layout import FieldLayout, GroupLayout, HeaderLayout, MessageLayout, attribute_name
from statevec.codecs.native_field import fault, load_field
from statevec.codecs.native_types import DATA, FieldTypeError, StructType, field_type
from statevec.codecs.reader_fields import is_later, null_image, reader_fields
from statevec.codecs.walk import Walk, load_number
from statevec.ipc.atomics import I1, I64
from statevec.ipc.faults import MALFORMED_MESSAGE


class LevelType(types.Type):
    """A message, or an entry of a group, to read. `key` stands for layout and meaning, as in `StructType`."""

    def __init__(self, name: str, key: str, layout: MessageLayout | GroupLayout, walk: Walk) -> None:
        self.struct_name = name
        self.layout_key = key
        self.walk = walk
        self.fields = {each.attribute: each for each in reader_fields(layout.fields)}
        self.numbers = {attribute_name(each.name): number for number, each in enumerate(walk.members)}
        super().__init__(f"Level({name}, {key})")

    @property
    def words(self) -> str:
        return f"a message {self.struct_name}"

    def attribute_type(self, name: str) -> Any:
        """The Numba type of attribute `name`."""
        number = self.numbers.get(name)
        if number is not None:
            group = self.walk.members[number]
            return GroupType(self, number, group) if isinstance(group, GroupLayout) else DATA
        field = self.field(name)
        if field.composite is None:
            return field_type(field)
        return StructType(f"{self.struct_name}.{name}", self.layout_key, field.composite.fields, False)

    def field(self, name: str) -> FieldLayout:
        """The field of that name; `FieldTypeError` names those that exist."""
        found = self.fields.get(name)
        if found is None:
            known = ", ".join([*self.fields, *self.numbers])
            raise FieldTypeError(f"{self.struct_name} has no field '{name}' (fields: {known})")
        return found


class GroupIteratorType(types.SimpleIteratorType):
    """Iterator over the entries of a group."""

    def __init__(self, entry: LevelType) -> None:
        self.entry = entry
        super().__init__(f"GroupIterator({entry.name})", entry)


class GroupType(types.SimpleIterableType):
    """The entries of a group."""

    def __init__(self, owner: LevelType, number: int, group: GroupLayout) -> None:
        name = f"{owner.struct_name}.{group.name}"
        self.entry = LevelType(name, owner.layout_key, group, owner.walk.children[number])
        super().__init__(f"Group({name}, {owner.layout_key})", GroupIteratorType(self.entry))

    @property
    def words(self) -> str:
        return f"a group {self.entry.struct_name}"


LEVEL_MEMBERS = ("address", "tail", "limit", "version")
GROUP_MEMBERS = ("first", "block_length", "count", "limit", "version")


@register_model(LevelType)
class _LevelModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [(name, types.int64) for name in LEVEL_MEMBERS])


@register_model(GroupType)
class _GroupModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [(name, types.int64) for name in GROUP_MEMBERS])


@register_model(GroupIteratorType)
class _GroupIteratorModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        pointer = types.EphemeralPointer(types.int64)
        members = [("position", pointer), ("left", pointer)]
        super().__init__(
            manager, kind, members + [(name, types.int64) for name in ("block_length", "limit", "version")]
        )


def make_level(context: Any, builder: Any, kind: LevelType, members: list[Any]) -> Any:
    """Generate: a level of address, end of block, end of message, version."""
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.address, made.tail, made.limit, made.version = members
    return made._getvalue()


def call_compiled(context: Any, builder: Any, function: Any, arguments: list[Any], kinds: tuple[Any, ...]) -> Any:
    """Generate: a call of a compiled function that answers an int64 and raises nothing."""
    compiled = function.get_compile_result(types.int64(*kinds))
    context.active_code_library.add_linking_library(compiled.library)
    return context.call_internal(builder, compiled.fndesc, compiled.signature, arguments)


def call_walk(context: Any, builder: Any, walk: Walk, arguments: list[Any]) -> Any:
    """Generate: a walk (tail, limit, version, stop)."""
    return call_compiled(context, builder, walk.compiled, arguments, (types.int64,) * 4)


def load_at(context: Any, builder: Any, member: FieldLayout | None, base: Any, constants: dict[str, int]) -> Any:
    """Generate: an unsigned member of a header or of dimensions at the address `base`."""
    assert member is not None
    if member.presence == "constant":
        return I64(constants[member.name])
    place = builder.add(base, I64(member.offset))
    arguments = [place, I64(member.primitive.size), I1(member.byte_order == "big")]
    return call_compiled(context, builder, load_number, arguments, (types.int64, types.int64, types.boolean))


def _member_address(context: Any, builder: Any, kind: LevelType, level: Any, number: int) -> Any:
    """Generate: where member `number` begins."""
    if number == 0:
        return level.tail
    place = call_walk(context, builder, kind.walk, [level.tail, level.limit, level.version, I64(number)])
    fault(context, builder, builder.icmp_signed("<", place, I64(0)), MALFORMED_MESSAGE)
    return place


def whole_message(
    context: Any, builder: Any, kind: LevelType, header: HeaderLayout, message: Any, length: Any
) -> tuple[Any, Any]:
    """Generate: the value of a message whose header has been checked, and whether all of it is sound."""
    block_length = load_at(context, builder, header.member("blockLength"), message, header.constants)
    version = load_at(context, builder, header.member("version"), message, header.constants)
    address = builder.add(message, I64(header.size))
    members = [address, builder.add(address, block_length), builder.add(message, length), version]
    value = make_level(context, builder, kind, members)
    if not kind.walk.members:
        return value, I1(1)
    end = call_walk(context, builder, kind.walk, [*members[1:], I64(len(kind.walk.members))])
    return value, builder.icmp_signed(">=", end, I64(0))


@infer_getattr
class _LevelAttributes(AttributeTemplate):
    key = LevelType

    def generic_resolve(self, level: LevelType, name: str) -> Any:
        return level.attribute_type(name)


@lower_getattr_generic(LevelType)
def _load_attribute(context: Any, builder: Any, kind: LevelType, value: Any, name: str) -> Any:
    level = cgutils.create_struct_proxy(kind)(context, builder, value=value)
    number = kind.numbers.get(name)
    if number is None:
        field = kind.field(name)
        return load_field(context, builder, _block_address(builder, field, level), field)
    member = kind.walk.members[number]
    place = _member_address(context, builder, kind, level, number)
    if isinstance(member, GroupLayout):
        return _load_group(context, builder, kind.attribute_type(name), member, place, level)
    return _load_data(context, builder, member, place, level)


def _block_address(builder: Any, field: FieldLayout, level: Any) -> Any:
    """Generate: the block in which to read a field: the message's, or for one that it lacks, a constant."""
    if not is_later(field) or not field.size:
        return level.address
    image = cgutils.global_constant(builder, "null_image", cgutils.make_bytearray(bytearray(null_image(field))))
    null = builder.sub(builder.ptrtoint(image, I64), I64(field.offset))
    present = builder.icmp_signed(">=", level.version, I64(field.since))
    return builder.select(present, level.address, null)


def _present(builder: Any, member: Any, version: Any) -> Any:
    return builder.icmp_signed(">=", version, I64(member.since_version))


def _load_group(context: Any, builder: Any, kind: GroupType, group: GroupLayout, place: Any, level: Any) -> Any:
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.limit, made.version = level.limit, level.version
    numbers = [cgutils.alloca_once_value(builder, I64(0)) for _ in range(2)]
    first = cgutils.alloca_once_value(builder, place)
    with builder.if_then(_present(builder, group, level.version)):
        dimensions = group.dimensions
        room = builder.sub(level.limit, place)
        fault(context, builder, builder.icmp_signed("<", room, I64(dimensions.size)), MALFORMED_MESSAGE)
        for name, slot in zip(("blockLength", "numInGroup"), numbers, strict=True):
            number = load_at(context, builder, dimensions.member(name), place, dimensions.constants)
            builder.store(number, slot)
        builder.store(builder.add(place, I64(dimensions.size)), first)
    made.first = builder.load(first)
    made.block_length, made.count = (builder.load(each) for each in numbers)
    return made._getvalue()


def _load_data(context: Any, builder: Any, data: Any, place: Any, level: Any) -> Any:
    made = cgutils.create_struct_proxy(DATA)(context, builder)
    address = cgutils.alloca_once_value(builder, place)
    length = cgutils.alloca_once_value(builder, I64(0))
    with builder.if_then(_present(builder, data, level.version)):
        start = builder.add(place, I64(data.length_field.end))
        room = builder.sub(level.limit, start)
        fault(context, builder, builder.icmp_signed("<", room, I64(0)), MALFORMED_MESSAGE)
        number = load_at(context, builder, data.length_field, place, {})
        fault(context, builder, builder.icmp_unsigned(">", number, room), MALFORMED_MESSAGE)
        builder.store(start, address)
        builder.store(number, length)
    made.address, made.length = builder.load(address), builder.load(length)
    return made._getvalue()


@infer_global(len)
class _GroupLength(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.int64, args[0]) if isinstance(args[0], GroupType) else None


@lower_builtin(len, GroupType)
def _count(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.extract_value(args[0], GROUP_MEMBERS.index("count"))


@lower_builtin("getiter", GroupType)
def _iterate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    group = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
    made = cgutils.create_struct_proxy(signature.return_type)(context, builder)
    made.position = cgutils.alloca_once_value(builder, group.first)
    made.left = cgutils.alloca_once_value(builder, group.count)
    made.block_length, made.limit, made.version = group.block_length, group.limit, group.version
    return made._getvalue()


@lower_builtin("iternext", GroupIteratorType)
@iternext_impl(RefType.UNTRACKED)
def _next_entry(context: Any, builder: Any, signature: Any, args: Any, result: Any) -> None:
    kind = signature.args[0]
    state = cgutils.create_struct_proxy(kind)(context, builder, value=args[0])
    left = builder.load(state.left)
    valid = builder.icmp_signed(">", left, I64(0))
    result.set_valid(valid)
    with builder.if_then(valid):
        position = builder.load(state.position)
        tail = builder.add(position, state.block_length)
        fault(context, builder, builder.icmp_signed(">", tail, state.limit), MALFORMED_MESSAGE)
        entry = make_level(context, builder, kind.entry, [position, tail, state.limit, state.version])
        end = tail
        if kind.entry.walk.members:
            stop = I64(len(kind.entry.walk.members))
            end = call_walk(context, builder, kind.entry.walk, [tail, state.limit, state.version, stop])
            fault(context, builder, builder.icmp_signed("<", end, I64(0)), MALFORMED_MESSAGE)
        builder.store(end, state.position)
        builder.store(builder.sub(left, I64(1)), state.left)
        result.yield_(entry)


__all__ = ["GroupType", "LevelType", "call_compiled", "call_walk", "load_at", "make_level", "whole_message"]
