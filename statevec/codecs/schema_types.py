"""From the `<types>` of a schema to layouts: encoded types, enums, sets, composites, references.

A type is built as a `FieldLayout` at offset 0 without a name of its own; `at` in the callers places it.

Invariants
    Each named type is built once, so an enum has one layout wherever it is used.
    Ranges and nulls are explicit in what is built: SBE's default, or the schema's override.
    Types that refer to each other in a circle, unknown names and values outside their type are refused with a line.

Read by `schema_messages`, for the length of one load.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from statevec.codecs.layout import (
    PRIMITIVES,
    ByteOrder,
    CompositeLayout,
    EnumLayout,
    FieldLayout,
    Number,
    Presence,
    Primitive,
    SetLayout,
)
from statevec.codecs.schema_source import Element

SBE_PRIMITIVES: dict[str, Primitive] = {
    "char": PRIMITIVES["char"],
    "float": PRIMITIVES["f32"],
    "double": PRIMITIVES["f64"],
    **{f"int{bits}": PRIMITIVES[f"i{bits}"] for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": PRIMITIVES[f"u{bits}"] for bits in (8, 16, 32, 64)},
}
PRESENCES: tuple[Presence, ...] = ("required", "optional", "constant")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_LEAVES = 4096
MAX_DEPTH = 64
"""Limits that no real schema comes near: composites of composites would otherwise grow without bound."""
TYPE_TAGS = ("type", "enum", "set", "composite")


class TypeBuilder:
    """Named types of one schema. `build(name)` gives the type, `warnings` what is legal but doubtful."""

    def __init__(self, version: int, byte_order: ByteOrder) -> None:
        self.version = version
        self.byte_order = byte_order
        self.elements: dict[str, Element] = {}
        self.warnings: list[str] = []
        self._built: dict[str, FieldLayout] = {}
        self._open: list[str] = []

    def declare(self, element: Element) -> None:
        """Take a child of `<types>`."""
        if element.tag not in TYPE_TAGS:
            element.fail("does not belong into <types>")
        name = self.name_of(element)
        if name in self.elements:
            self.warn(element, f"a type {name!r} exists already; the last one counts")
        self.elements[name] = element

    def warn(self, element: Element, text: str) -> None:
        self.warnings.append(f"{element.file}:{element.line}: {text}")

    def name_of(self, element: Element) -> str:
        name = element.require("name")
        if not NAME.match(name):
            self.warn(element, f"{name!r} is not a symbolic name")
        return name

    def since(self, element: Element) -> int:
        """`sinceVersion`, which the schema's version must have reached."""
        value = element.integer("sinceVersion", 0)
        if value > self.version:
            element.fail(f"sinceVersion={value} is above the schema's version {self.version}")
        return value

    def presence(self, element: Element) -> Presence | None:
        text = element.attributes.get("presence")
        if text is not None and text not in PRESENCES:
            element.fail(f"presence={text!r} is none of {', '.join(PRESENCES)}")
        return text

    def build(self, name: str, user: Element) -> FieldLayout:
        """The type of that name, a primitive or one of the schema's; `user` is where it is referred to."""
        if name in self._built:
            return self._built[name]
        if name in self._open:
            user.fail(f"types refer to each other in a circle: {' > '.join([*self._open, name])}")
        element = self.elements.get(name)
        if element is None:
            if name not in SBE_PRIMITIVES:
                user.fail(f"there is no type {name!r}")
            return self._primitive(name)
        if len(self._open) == MAX_DEPTH:
            user.fail(f"types refer to each other more than {MAX_DEPTH} deep")
        self._open.append(name)
        made = self.from_element(element)
        self._open.pop()
        self._built[name] = made
        return made

    def _primitive(self, name: str) -> FieldLayout:
        primitive = SBE_PRIMITIVES[name]
        made = FieldLayout(name, 0, primitive, byte_order=self.byte_order, null=primitive.null, type_name=name)
        return replace(made, minimum=primitive.sbe_minimum, maximum=primitive.sbe_maximum)

    def from_element(self, element: Element) -> FieldLayout:
        """The type that the element declares, named or nested in a composite."""
        made: FieldLayout = getattr(self, f"_{element.tag}")(element)
        return replace(
            made,
            since_version=self.since(element),
            deprecated=element.integer("deprecated", 0),
            semantic_type=element.get("semanticType"),
            description=element.get("description"),
            type_name=element.require("name"),
        )

    def _type(self, element: Element) -> FieldLayout:
        primitive_name = element.require("primitiveType")
        if primitive_name not in SBE_PRIMITIVES:
            element.fail(f"primitiveType={primitive_name!r} is not a primitive type")
        made = replace(self._primitive(primitive_name), name=self.name_of(element))
        presence = self.presence(element) or "required"
        primitive = made.primitive
        made = replace(
            made,
            length=element.integer("length", 1),
            presence=presence,
            encoding=python_encoding(element),
            null=self._number(element, "nullValue", primitive, made.null),
            minimum=self._number(element, "minValue", primitive, made.minimum),
            maximum=self._number(element, "maxValue", primitive, made.maximum),
        )
        if element.get("variableLength") == "true":
            made = replace(made, length=0)
        if presence != "constant":
            return made
        if "valueRef" in element.attributes:
            return self.constant_from_reference(made, element)
        if not element.text:
            element.fail("is constant, but has no value")
        return self._constant(made, element, element.text)

    def _constant(self, made: FieldLayout, element: Element, text: str) -> FieldLayout:
        if made.primitive.kind == "chars":
            try:
                length = len(text.encode(made.encoding))
            except UnicodeEncodeError:
                element.fail(f"{text!r} cannot be written in {made.encoding}")
            if made.length not in (0, 1) and length > made.length:
                element.fail(f"{text!r} is longer than length={made.length}")
            return replace(made, presence="constant", constant=text, length=length)
        return replace(made, presence="constant", constant=self.parse(element, text, made.primitive), length=1)

    def constant_from_reference(self, made: FieldLayout, element: Element) -> FieldLayout:
        """`made` as the constant that `valueRef="Enum.Value"` names."""
        reference = element.require("valueRef")
        enum_name, dot, value_name = reference.rpartition(".")
        if not dot:
            element.fail(f"valueRef={reference!r} is not of the form Enum.Value")
        enum = self.build(enum_name, element).enum
        if enum is None:
            element.fail(f"valueRef={reference!r}: {enum_name!r} is not an enum")
        values = dict(enum.values)
        if value_name not in values:
            element.fail(f"valueRef={reference!r}: {enum_name!r} has no value {value_name!r}")
        value = values[value_name]
        if made.enum is not None and made.enum != enum:
            element.fail(f"valueRef={reference!r} is of another enum than the field")
        if made.primitive.kind == "chars" and made.enum is None:
            return replace(made, presence="constant", constant=chr(value), length=1)
        if made.primitive.kind == "float" or not made.primitive.lowest <= value <= made.primitive.highest:
            element.fail(f"valueRef={reference!r}: {value} does not fit into {made.primitive.name}")
        return replace(made, presence="constant", constant=value, length=1)

    def _number(self, element: Element, name: str, primitive: Primitive, default: Any) -> Any:
        text = element.attributes.get(name)
        return default if text is None else self.parse(element, text.strip(), primitive)

    def parse(self, element: Element, text: str, primitive: Primitive) -> Number:
        """A value of a primitive type as schemas write it; a char is its code point."""
        try:
            if primitive.kind == "float":
                value = float(text)
                return math.nan if math.isnan(value) else value
            number = ord(text) if primitive.kind == "chars" and len(text) == 1 else int(text)
        except ValueError:
            element.fail(f"{text!r} is not a value of type {primitive.name}")
        if not primitive.lowest <= number <= primitive.highest:
            element.fail(f"{number} does not fit into {primitive.name}")
        return number

    def _encoding(self, element: Element) -> FieldLayout:
        """The type in which an enum or a set is encoded."""
        name = element.require("encodingType")
        made = self.build(name, element)
        if made.kind not in ("integer", "chars") or made.length != 1 or made.presence == "constant":
            element.fail(f"encodingType={name!r} is not a single integer or char")
        return made

    def _enum(self, element: Element) -> FieldLayout:
        encoding = self._encoding(element)
        primitive = encoding.primitive
        name = self.name_of(element)
        null = self._number(element, "nullValue", primitive, encoding.null)
        values: dict[str, int] = {}
        for child in element.children:
            if child.tag != "validValue":
                child.fail("does not belong into <enum>")
            value = int(self.parse(child, child.text, primitive))
            value_name = self.name_of(child)
            self.since(child)
            if value_name in values or value in values.values():
                child.fail(f"{value_name}={child.text} is in the enum already")
            ranged = primitive.kind != "chars" and encoding.minimum is not None and encoding.maximum is not None
            if value != null and ranged and not encoding.minimum <= value <= encoding.maximum:  # type: ignore[operator]
                child.fail(f"value {value} is outside {encoding.minimum} to {encoding.maximum}")
            values[value_name] = value
        enum = EnumLayout(
            name, primitive, tuple(values.items()), int(null), self.since(element), primitive.kind == "chars"
        )
        presence = self.presence(element) or "required"
        return replace(encoding, name=name, enum=enum, null=null, minimum=None, maximum=None, presence=presence)

    def _set(self, element: Element) -> FieldLayout:
        encoding = self._encoding(element)
        primitive = encoding.primitive
        if primitive.signed or primitive.kind == "chars":
            element.fail(f"a set is encoded in an unsigned integer, not in {primitive.name}")
        choices: dict[str, int] = {}
        for child in element.children:
            if child.tag != "choice":
                child.fail("does not belong into <set>")
            name = self.name_of(child)
            self.since(child)
            try:
                bit = int(child.text)
            except ValueError:
                child.fail(f"{child.text!r} is not the number of a bit")
            if not 0 <= bit < 8 * primitive.size:
                child.fail(f"bit {bit} is outside 0 to {8 * primitive.size - 1}")
            if name in choices or bit in choices.values():
                child.fail(f"{name}={bit} is in the set already")
            choices[name] = bit
        layout = SetLayout(self.name_of(element), primitive, tuple(choices.items()), self.since(element))
        return replace(
            encoding, name=layout.name, choices=layout, presence="required", null=None, minimum=None, maximum=None
        )

    def _composite(self, element: Element) -> FieldLayout:
        offset = 0
        fields: list[FieldLayout] = []
        for child in element.children:
            if child.tag not in (*TYPE_TAGS, "ref"):
                child.fail("is not valid within a composite")
            made = self._reference(child) if child.tag == "ref" else self.from_element(child)
            if any(each.name == made.name for each in fields):
                child.fail(f"the composite has a member {made.name!r} already")
            if self.since(child) > self.since(element):
                text = f"{made.name!r} cannot be added to a composite: older messages are too short, or read without it"
                self.warn(child, text)
            fields.append(_nullable(replace(made, offset=place(child, offset))))
            offset = fields[-1].end
        if not fields:
            element.fail("a composite needs a member")
        name = self.name_of(element)
        leaves = sum(1 if each.composite is None else each.composite.leaf_count for each in fields)
        if leaves > MAX_LEAVES:
            element.fail(f"has more than {MAX_LEAVES} members, those of its members included")
        layout = CompositeLayout(name, tuple(fields), offset, self.since(element), leaves)
        return FieldLayout(name, 0, PRIMITIVES["u8"], byte_order=self.byte_order, composite=layout)

    def _reference(self, element: Element) -> FieldLayout:
        target = self.build(element.require("type"), element)
        since = max(self.since(element), target.since_version)
        return replace(target, name=self.name_of(element), since_version=since)


def _nullable(member: FieldLayout) -> FieldLayout:
    """A member of a composite may hold its null, given as a number: FIX's MonthYear says so that it has no day."""
    primitive = member.primitive
    default = (member.minimum, member.maximum) == (primitive.sbe_minimum, primitive.sbe_maximum)
    if member.kind == "integer" and member.presence == "required" and default:
        return replace(member, minimum=None, maximum=None)
    return member


def place(element: Element, running: int) -> int:
    """The offset of an element: its own, which must not be below the running sum, or the running sum."""
    offset = element.integer("offset", running)
    if offset < running:
        element.fail(f"offset={offset} lies inside what comes before it, which ends at {running}")
    return offset


def python_encoding(element: Element) -> str:
    """Python's name of the element's `characterEncoding`."""
    text = element.get("characterEncoding").strip()
    if not text:
        return "ascii"
    try:
        "".encode(text)
    except (LookupError, ValueError):
        element.fail(f"characterEncoding={text!r} is not known")
    name = text.lower().replace("_", "-")
    return "ascii" if name == "us-ascii" else name
