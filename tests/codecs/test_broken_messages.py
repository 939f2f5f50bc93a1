"""The broken inputs of the reference's error probe, in Python and in handlers, and walks of mutated bytes."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba import njit

from statevec.codecs.errors import (
    BlockLengthError,
    DecodeError,
    FrameLengthError,
    GroupCountError,
    TruncatedError,
    UnknownEnumValueError,
    UnknownTemplateError,
    WrongSchemaError,
)
from statevec.codecs.flyweight import SbeDialect
from statevec.codecs.levels import LevelCodec
from statevec.codecs.schema import Schema
from statevec.codecs.walk import Walk
from statevec.engine.plugin.simulate import simulate
from statevec.ipc.kernel import enable_cache
from statevec.ipc.memory import Region
from tests.codecs.sbe_data import SBE, needs_data
from tests.plugin.echo import write_echo

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


def with_byte(name: str, value: int) -> bytearray:
    """The message with another byte in a field of its block."""
    schema, content = car()
    layout = {each.name: each for each in schema.messages["Car"].fields}
    content[schema.header.size + layout[name].offset] = value
    return content


MALFORMED = "MALFORMED_MESSAGE"
FIRST_TEXT = 4 + 6
"""Bytes from a group's dimensions to the first length of text in it."""
PROBE: dict[str, tuple[Callable[[], bytearray], type[DecodeError] | None, str]] = {
    **{
        f"truncated to {size}": (lambda size=size: car()[1][:size], TruncatedError, MALFORMED)
        for size in (0, 4, 8, 30, 60, 100, 206)
    },
    "templateId=9": (lambda: patched("<H", 2, 9), UnknownTemplateError, "UNKNOWN_TEMPLATE"),
    "schemaId=77": (lambda: patched("<H", 4, 77), WrongSchemaError, "WRONG_SCHEMA"),
    "version=65535": (lambda: patched("<H", 6, 65535), None, "COMMITTED"),
    "blockLength=65535": (lambda: patched("<H", 0, 65535), TruncatedError, MALFORMED),
    "blockLength=10 (too short, same version)": (lambda: patched("<H", 0, 10), BlockLengthError, MALFORMED),
    "enum code=0x7a unknown": (lambda: with_byte("code", 0x7A), UnknownEnumValueError, "VALUE_OUT_OF_RANGE"),
    "enum code=0 (null)": (lambda: with_byte("code", 0), UnknownEnumValueError, "VALUE_OUT_OF_RANGE"),
    "fuelFigures count=65535": (lambda: patched("<H", dimensions_at() + 2, 65535), GroupCountError, MALFORMED),
    "fuelFigures blockLength=0": (lambda: patched("<H", dimensions_at(), 0), BlockLengthError, MALFORMED),
    "fuelFigures blockLength=65535": (lambda: patched("<H", dimensions_at(), 65535), TruncatedError, MALFORMED),
    "usageDescription length=0xFFFFFFFF": (
        lambda: patched("<I", dimensions_at() + FIRST_TEXT, 0xFFFFFFFF),
        TruncatedError,
        MALFORMED,
    ),
    "usageDescription length=0x7FFFFFFF": (
        lambda: patched("<I", dimensions_at() + FIRST_TEXT, 0x7FFFFFFF),
        TruncatedError,
        MALFORMED,
    ),
    "bitset unknown bit": (lambda: with_byte("extras", 0xFF), None, "COMMITTED"),
    "boolean=5": (lambda: with_byte("available", 5), UnknownEnumValueError, "VALUE_OUT_OF_RANGE"),
    "empty trailing 100 bytes": (lambda: car()[1] + bytes(100), FrameLengthError, "COMMITTED"),
}
"""By the name that the reference's probe has: the input, the error when all is read and verified in its frame, and how
a handler ends that copies the message. An input may be longer than its message, as rings pad them.
"""


def test_the_whole_probe_is_covered() -> None:
    text = (SBE / "golden" / "error_probe_official_java.txt").read_text()
    names = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert set(names) - {"valid"} == set(PROBE)


@pytest.mark.parametrize("name", PROBE)
def test_a_broken_message_ends_in_its_error(name: str) -> None:
    schema, _ = car()
    make, error, _ = PROBE[name]
    content = make()

    def read() -> dict[str, Any]:
        view = schema.decode(content, 0, len(content))
        values = view.to_dict()
        view.verify()
        return values

    if error is not None:
        with pytest.raises(error):
            read()
        return
    values = read()
    assert schema.decode(content).is_newer is (name == "version=65535")
    assert values["extras"] == (0xFF if name == "bitset unknown bit" else schema.decode(car()[1]).to_dict()["extras"])


@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_a_broken_message_ends_a_handler_alike(tmp_path: Path, tier: str) -> None:
    files = {each.name: each.read_bytes() for each in CAR.glob("*.xml")}
    files["echo.xml"] = files.pop("schema.xml")
    directory = write_echo(tmp_path / "echo", files, car()[0].messages["Car"])
    simulation = simulate(directory, tier, 0, 1)  # type: ignore[arg-type]
    outcomes = {name: simulation.send_bytes(bytes(make())).outcome_name for name, (make, _, _) in PROBE.items()}
    assert outcomes == {name: outcome for name, (_, _, outcome) in PROBE.items()}


def test_unlisted_values_pass_through() -> None:
    schema, _ = car()
    for name, value in (("code", 0x7A), ("available", 5), ("code", 0)):
        assert schema.decode(with_byte(name, value)).to_dict()[name] == value


def test_what_follows_a_message_counts_only_in_a_frame() -> None:
    schema, content = car()
    assert schema.decode(content + bytes(100)) == schema.decode(content)


def test_walks_judge_as_levels_do() -> None:
    schema, content = car()
    layout = schema.messages["Car"]
    level = LevelCodec(layout, "Car", "", 0, lambda path: SbeDialect("Car", path))
    number = itertools.count()
    # one walk after the other, always in the same order: the number and the schema say which one it is
    walk = Walk(layout, lambda made: enable_cache(njit(made, _nrt=False), f"{schema.hash} {next(number)}", __name__))
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
