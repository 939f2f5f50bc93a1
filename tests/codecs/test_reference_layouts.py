"""Every public schema at hand: laid out token by token as the reference does, or refused where it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from statevec.codecs.errors import SchemaError
from statevec.codecs.layout import CompositeLayout, FieldLayout, GroupLayout, MessageLayout
from statevec.codecs.schema import Schema
from statevec.codecs.schema_types import SBE_PRIMITIVES
from tests.codecs.sbe_data import index, needs_data, reference_layout, schema_path

pytestmark = needs_data
SBE_NAMES = {primitive: name for name, primitive in SBE_PRIMITIVES.items()}
Token = dict[str, Any]


def encoding_tokens(field: FieldLayout, name: str, offset: int, since: int) -> Iterator[Token]:
    """Tokens of a field's type: its name (or that of a composite's member), its offset, the version it is in since.

    The reference gives every token inside a field or dimensions at least the version of what is around it.
    """
    since = max(since, field.since_version)
    common = {"name": name, "offset": offset, "since": since}
    prim = SBE_NAMES[field.primitive]
    if field.composite is not None:
        yield {"signal": "BEGIN_COMPOSITE", **common, "size": field.composite.size}
        yield from member_tokens(field.composite, since)
        yield {"signal": "END_COMPOSITE"}
    elif field.enum is not None:
        yield {"signal": "BEGIN_ENUM", **common, "prim": prim, "null": field.enum.null}
        for value_name, value in field.enum.values:
            yield {"signal": "VALID_VALUE", "name": value_name, "const": str(value)}
        yield {"signal": "END_ENUM"}
    elif field.choices is not None:
        yield {"signal": "BEGIN_SET", **common, "size": field.size, "prim": prim}
        for choice, bit in field.choices.choices:
            yield {"signal": "CHOICE", "name": choice, "const": str(bit)}
        yield {"signal": "END_SET"}
    else:
        constant = None if field.presence != "constant" else str(field.constant)
        if field.kind == "chars" and constant is not None and len(constant) == 1:
            constant = str(ord(constant))  # the reference shows the code of a single char
        token = {"signal": "ENCODING", **common, "size": field.size, "prim": prim, "const": constant}
        if field.presence != "constant":
            token["len"] = field.length
            token |= {"min": field.minimum, "max": field.maximum, "null": field.null}
        yield token | {"order": f"{field.byte_order.upper()}_ENDIAN", "presence": field.presence.upper()}


def member_tokens(composite: CompositeLayout, since: int) -> Iterator[Token]:
    for member in composite.fields:
        yield from encoding_tokens(member, member.name, member.offset, since)


def level_tokens(level: MessageLayout | GroupLayout) -> Iterator[Token]:
    for field in level.fields:
        yield {"signal": "BEGIN_FIELD", "name": field.name, "id": field.id, "offset": field.offset}
        yield from encoding_tokens(field, field.type_name, field.offset, 0)
        yield {"signal": "END_FIELD"}
    for group in level.groups:
        yield {
            "signal": "BEGIN_GROUP",
            "name": group.name,
            "id": group.id,
            "size": group.block_length,
            "since": group.since_version,
        }
        yield {"signal": "BEGIN_COMPOSITE", "name": group.dimensions.composite.name, "size": group.dimensions.size}
        yield from member_tokens(group.dimensions.composite, group.since_version)
        yield {"signal": "END_COMPOSITE"}
        yield from level_tokens(group)
        yield {"signal": "END_GROUP"}
    for data in level.data:
        assert data.composite is not None
        yield {"signal": "BEGIN_VAR_DATA", "name": data.name, "id": data.id, "since": data.since_version}
        yield {"signal": "BEGIN_COMPOSITE", "name": data.composite.name}
        length, content = data.composite.fields
        yield from encoding_tokens(length, length.name, 0, data.since_version)
        yield {"signal": "ENCODING", "name": content.name, "offset": length.end, "prim": SBE_NAMES[content.primitive]}
        yield {"signal": "END_COMPOSITE"}
        yield {"signal": "END_VAR_DATA"}


def message_tokens(message: MessageLayout) -> Iterator[Token]:
    yield {
        "signal": "BEGIN_MESSAGE",
        "name": message.name,
        "id": message.id,
        "size": message.block_length,
        "since": message.since_version,
        "deprecated": message.deprecated,
    }
    yield from level_tokens(message)
    yield {"signal": "END_MESSAGE"}


def comparable(key: str, value: Any) -> Any:
    """Values of both sides in one form: numbers as numbers where they are numbers."""
    if value is None or key in ("signal", "name", "order", "presence", "prim"):
        return value
    try:
        return int(value) % (1 << 64)  # the reference shows uint64 signed
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return str(value)
    return "NaN" if math.isnan(number) else number


def compare(ours: list[Token], theirs: list[Token], where: str) -> None:
    signals = [each["signal"] for each in ours]
    assert signals == [each["signal"] for each in theirs], where
    for mine, reference in zip(ours, theirs, strict=True):
        for key, value in mine.items():
            if key in ("min", "max", "null") and key not in reference:
                continue  # the reference says only what the schema says, we say SBE's default too
            expected = reference.get(key)
            assert comparable(key, value) == comparable(key, expected), f"{where}: {key} of {mine} against {reference}"


@pytest.mark.parametrize("path", [path for path, verdict in index() if verdict == "OK"])
def test_layout_agrees_with_the_reference_token_by_token(path: str) -> None:
    schema = Schema.load(schema_path(path))
    reference = reference_layout(path)
    if reference is None:
        return  # only that it loads
    assert (schema.package, schema.id, schema.version) == tuple(reference[key] for key in ("package", "id", "version"))
    assert f"{schema.byte_order.upper()}_ENDIAN" == reference["byteOrder"]
    header = [
        {"signal": "BEGIN_COMPOSITE", "name": schema.header.composite.name, "size": schema.header.size},
        *member_tokens(schema.header.composite, 0),
        {"signal": "END_COMPOSITE"},
    ]
    compare(header, reference["header"], "header")
    assert sorted(str(each.id) for each in schema.messages.values()) == sorted(reference["messages"])
    for message in schema.messages.values():
        compare(list(message_tokens(message)), reference["messages"][str(message.id)], message.name)


@pytest.mark.parametrize("path", [path for path, verdict in index() if verdict == "FAIL"])
def test_a_schema_that_the_reference_refuses_is_refused_with_its_line(path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.load(schema_path(path))
    assert caught.value.line > 0
    assert str(caught.value.file).endswith(".xml")
