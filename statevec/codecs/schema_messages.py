"""From the messages of a schema to layouts: fields, groups, data, their order and their block lengths.

Invariants
    Fields come before groups, groups before data, at each level; names are unique at each level, ids of messages in
    the schema. A block is at least as long as its fields. What breaks a rule is refused with file and line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from statevec.codecs.layout import (
    ByteOrder,
    DataLayout,
    FieldLayout,
    GroupLayout,
    HeaderLayout,
    MessageLayout,
)
from statevec.codecs.schema_source import Element
from statevec.codecs.schema_types import TypeBuilder, place

HEADER_MEMBERS = ("blockLength", "templateId", "schemaId", "version")
DIMENSION_MEMBERS = ("blockLength", "numInGroup")
LARGEST_COUNT = (1 << 31) - 1


@dataclass
class _Level:
    """What a message or a group holds."""

    block_length: int = 0
    fields: list[FieldLayout] = field(default_factory=list)
    groups: list[GroupLayout] = field(default_factory=list)
    data: list[DataLayout] = field(default_factory=list)


def build_header(types: TypeBuilder, name: str, root: Element) -> HeaderLayout:
    """The layout of the message header, from the composite called `name`."""
    element = types.elements.get(name)
    if element is None:
        root.fail(f"there is no type {name!r} for the message header")
    return _members(types, name, element, HEADER_MEMBERS, "message header")


def _members(types: TypeBuilder, name: str, user: Element, wanted: tuple[str, ...], what: str) -> HeaderLayout:
    composite = types.build(name, user).composite
    if composite is None:
        user.fail(f"{name!r} should be a composite to be a {what}")
    for member in wanted:
        found = composite.member(member)
        if found is None:
            user.fail(f"{name!r} has no member {member!r}, so it is no {what}")
        if found.kind != "integer" or found.primitive.signed or found.presence == "optional":
            user.fail(f"member {member!r} of {name!r} is not an unsigned integer")
        if member == "numInGroup" and found.presence == "constant":
            user.fail(f"{name!r} counts a constant number of entries")
        # a count or length that a signed 32-bit reader cannot hold must be limited by the schema
        if member == "numInGroup" and found.primitive.size >= 4 and found.limits[1] > LARGEST_COUNT:
            user.fail(f"maxValue must be set for {member!r} of {name!r}, at most {LARGEST_COUNT}")
    return HeaderLayout(composite)


class MessageBuilder:
    """Messages of one schema, over its types."""

    def __init__(self, types: TypeBuilder, byte_order: ByteOrder, header: HeaderLayout) -> None:
        self.types = types
        self.byte_order = byte_order
        self.header = header

    def message(self, element: Element) -> MessageLayout:
        """The layout of a `<message>`."""
        template = self.header.member("templateId")
        assert template is not None
        level = self._level(element)
        self._check_block_length(element, level.block_length, self.header)
        return MessageLayout(
            self.types.name_of(element),
            element.integer("id", high=template.primitive.highest),
            level.block_length,
            tuple(level.fields),
            tuple(level.groups),
            tuple(level.data),
            self.byte_order,
            self.types.since(element),
            element.integer("deprecated", 0),
            element.get("semanticType"),
            element.get("description"),
        )

    def _check_block_length(self, element: Element, length: int, header: HeaderLayout) -> None:
        member = header.member("blockLength")
        assert member is not None
        if length > member.primitive.highest:
            element.fail(f"a block of {length} bytes does not fit into blockLength ({member.primitive.name})")

    def _level(self, element: Element) -> _Level:
        level = _Level()
        names: set[str] = set()
        offset = 0
        for child in element.children:
            if child.tag == "field":
                if level.groups or level.data:
                    child.fail("a field comes before groups and data")
                made = self._field(child, offset)
                level.fields.append(made)
                offset = made.end
            elif child.tag == "group":
                if level.data:
                    child.fail("a group comes before data")
                level.groups.append(self._group(child))
            elif child.tag == "data":
                level.data.append(self._data(child))
            else:
                child.fail(f"does not belong into <{element.tag}>")
            name = child.require("name")
            if name in names:
                child.fail(f"the name {name!r} is used twice")
            names.add(name)
        level.block_length = element.integer("blockLength", offset)
        if level.block_length < offset:
            element.fail(f"blockLength={level.block_length} is less than its fields need, {offset}")
        return level

    def _field(self, element: Element, running: int) -> FieldLayout:
        types = self.types
        made = types.build(element.require("type"), element)
        self._check_semantic_type(element, made.semantic_type)
        presence = types.presence(element)
        if presence == "constant" or "valueRef" in element.attributes:
            if "valueRef" in element.attributes:
                made = types.constant_from_reference(made, element)
            elif made.presence != "constant":
                element.fail("is constant, but neither it nor its type has a value")
        elif presence is not None and made.presence != "constant":
            made = replace(made, presence=presence)
        return replace(
            made,
            name=types.name_of(element),
            offset=place(element, running),
            id=element.integer("id"),
            since_version=max(types.since(element), made.since_version),
            deprecated=element.integer("deprecated", made.deprecated),
            semantic_type=element.get("semanticType") or made.semantic_type,
            description=element.get("description"),
        )

    def _check_semantic_type(self, element: Element, of_type: str) -> None:
        own = element.get("semanticType")
        if own and of_type and own != of_type:
            element.fail(f"semanticType={own!r} differs from its type's, {of_type!r}")

    def _group(self, element: Element) -> GroupLayout:
        name = element.get("dimensionType", "groupSizeEncoding")
        dimensions = _members(self.types, name, element, DIMENSION_MEMBERS, "group size encoding")
        level = self._level(element)
        self._check_block_length(element, level.block_length, dimensions)
        return GroupLayout(
            self.types.name_of(element),
            element.integer("id"),
            dimensions,
            level.block_length,
            tuple(level.fields),
            tuple(level.groups),
            tuple(level.data),
            self.types.since(element),
            element.integer("deprecated", 0),
            element.get("semanticType"),
            element.get("description"),
        )

    def _data(self, element: Element) -> DataLayout:
        name = element.require("type")
        composite = self.types.build(name, element).composite
        if composite is None or len(composite.fields) != 2:
            element.fail(f"{name!r} should be a composite of a length and its bytes")
        length, content = composite.fields
        if length.name != "length" or length.kind != "integer" or length.primitive.signed or length.length != 1:
            element.fail(f"the first member of {name!r} should be 'length', an unsigned integer")
        if content.offset != length.end or content.primitive.size != 1 or content.length > 1:
            element.fail(f"the second member of {name!r} should be the bytes, directly after the length")
        declared = self.types.elements[name]
        named = [each for each in declared.children if each.get("characterEncoding")]
        return DataLayout(
            self.types.name_of(element),
            element.integer("id"),
            length,
            content.encoding if named or content.primitive.kind == "chars" else None,
            max(self.types.since(element), composite.since_version),
            element.integer("deprecated", 0),
            name,
            composite,
            element.get("semanticType"),
            element.get("description"),
        )
