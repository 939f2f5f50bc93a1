"""The broken inputs of the reference's error probe, messages of other versions, and walks of mutated bytes."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from numba import njit

from statevec.codecs.errors import (
    BlockLengthError,
    DecodeError,
    FrameLengthError,
    TruncatedError,
    UnknownEnumValueError,
    UnknownTemplateError,
    WrongSchemaError,
)
from statevec.codecs.flyweight import SbeDialect
from statevec.codecs.levels import LevelCodec
from statevec.codecs.schema import Schema
from statevec.codecs.walk import Walk
from statevec.ipc.memory import Region
from tests.codecs.sbe_data import SBE, needs_data

pytestmark = needs_data
CAR = SBE / "golden" / "car_v0"


def car() -> tuple[Schema, bytearray]:
    return Schema.load(CAR / "schema.xml"), bytearray((CAR / "message.sbe").read_bytes())


def patched(code: str, offset: int, value: int) -> bytearray:
    content = car()[1]
    struct.pack_into(code, content, offset, value)
    return content


def dimensions_at() -> int:
    schema, _ = car()
    return schema.header.size + schema.messages["Car"].block_length


BROKEN: list[tuple[str, Any, type[DecodeError]]] = [
    *((f"truncated to {n}", lambda n=n: car()[1][:n], TruncatedError) for n in (0, 4, 8, 30, 60, 100, 206)),
    ("template", lambda: patched("<H", 2, 9), UnknownTemplateError),
    ("schema", lambda: patched("<H", 4, 77), WrongSchemaError),
    ("block beyond", lambda: patched("<H", 0, 65535), TruncatedError),
    ("block short", lambda: patched("<H", 0, 10), BlockLengthError),
    ("count", lambda: patched("<H", dimensions_at() + 2, 65535), TruncatedError),
    ("entry of no bytes", lambda: patched("<H", dimensions_at(), 0), BlockLengthError),
    ("entry beyond", lambda: patched("<H", dimensions_at(), 65535), TruncatedError),
    ("data of 4 GiB", lambda: patched("<I", dimensions_at() + 4 + 6, 0xFFFFFFFF), TruncatedError),
    ("data of 2 GiB", lambda: patched("<I", dimensions_at() + 4 + 6, 0x7FFFFFFF), TruncatedError),
]


@pytest.mark.parametrize(("content", "error"), [pytest.param(*each[1:], id=each[0]) for each in BROKEN])
def test_a_broken_message_ends_in_its_error(content: Any, error: type[DecodeError]) -> None:
    schema, _ = car()
    with pytest.raises(error):
        schema.decode(content()).to_dict()


def test_unlisted_values_pass_through_and_do_not_verify() -> None:
    schema, content = car()
    layout = {each.name: each for each in schema.messages["Car"].fields}
    for name, value in (("code", 0x7A), ("available", 5), ("code", 0)):
        broken = bytearray(content)
        broken[schema.header.size + layout[name].offset] = value
        view = schema.decode(broken)
        assert view.to_dict()[name] == value
        with pytest.raises(UnknownEnumValueError):
            view.verify()


def test_what_follows_a_message_counts_only_in_a_frame() -> None:
    schema, content = car()
    assert schema.decode(content + bytes(100)) == schema.decode(content)
    with pytest.raises(FrameLengthError):
        schema.decode(content + bytes(100), 0, len(content) + 100)
    assert schema.decode(patched("<H", 6, 65535)).is_newer


VERSIONS = [SBE / "golden" / f"evc_v{number}" for number in range(3)]


@pytest.mark.parametrize("reader", VERSIONS, ids=lambda each: f"read by {each.name}")
@pytest.mark.parametrize("written", VERSIONS, ids=lambda each: f"written by {each.name}")
def test_compatible_versions_read_each_other(reader: Path, written: Path) -> None:
    schema = Schema.load(reader / "schema.xml")
    content = (written / "message.sbe").read_bytes()
    values = json.loads((written / "values.json").read_text())["fields"]
    view = schema.decode(content, 0, len(content))
    found = view.to_dict()
    assert_as_written(found, values)
    assert (view.version, view.is_newer) == (int(written.name[-1]), written.name > reader.name)
    for name, value in found.items():
        if not isinstance(value, list):
            assert getattr(view, name) == getattr(schema.decode(content), name)


def assert_as_written(found: dict[str, Any], values: dict[str, Any]) -> None:
    """Whether all that both versions have is equal, and the rest null or empty."""
    for name, value in found.items():
        if isinstance(value, list) and name in values:
            for mine, other in zip(value, values[name], strict=True):
                assert_as_written(mine, other)
        else:
            assert value == values[name] if name in values else value in (None, "", []), name


def test_walks_judge_as_levels_do() -> None:
    schema, content = car()
    layout = schema.messages["Car"]
    level = LevelCodec(layout, "Car", "", 0, lambda path: SbeDialect("Car", path))
    walk = Walk(layout, njit(_nrt=False))
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    generator = random.Random(seed)
    refused = 0
    for _ in range(300):
        mutated = bytearray(content[: generator.choice((len(content), generator.randrange(60, len(content))))])
        for _ in range(generator.choice((0, 1, 2))):
            mutated[generator.randrange(len(mutated))] = generator.choice((0, 1, 3, 0x7F, 0xFF))
        region = Region.of(mutated)
        tail, limit = dimensions_at(), len(mutated)
        try:
            expected = level.skip(mutated, tail, limit)
        except DecodeError:
            expected, refused = -1, refused + 1
        arguments = (region.address + tail, region.address + limit, 0, len(walk.members))
        for function in (walk.plain, walk.compiled):
            end = function(*arguments)
            assert (end - region.address if end >= 0 else -1) == expected, f"seed={seed} {mutated.hex()}"
    assert refused > 20
