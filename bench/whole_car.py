"""A whole Car, with nested groups and variable data: read in Python and in compiled code, by us and by others.

The packages `sbe` and `sbedecoder` are asked, too. A peer that decodes something else than was encoded, or breaks
off, is reported as not there, with the reason.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from bench.figure import Sampler
from statevec.codecs.layout import layout_hash
from statevec.codecs.native_field import fault
from statevec.codecs.native_message import LevelType, whole_message
from statevec.codecs.schema import Schema
from statevec.codecs.walk import Walk
from statevec.ipc.faults import MALFORMED_MESSAGE
from statevec.ipc.memory import Region, region_address

SCHEMA = Path(__file__).parent / "whole_car.xml"
MESSAGES = 256
"""Messages that the compiled loop reads in turn."""
ACCELERATION = [{"mph": 30, "seconds": 4.0}, {"mph": 60, "seconds": 7.5}, {"mph": 100, "seconds": 12.25}]
VALUES: dict[str, Any] = {
    "serial_number": 1234,
    "model_year": 2013,
    "code": "A",
    "extras": ["sports_pack", "cruise_control"],
    "vehicle_code": "abcdef",
    "engine": {"capacity": 2000, "num_cylinders": 4, "manufacturer_code": "123"},
    "fuel_figures": [{"speed": 30, "mpg": 35.5}, {"speed": 55, "mpg": 49.0}, {"speed": 75, "mpg": 40.0}],
    "performance_figures": [{"octane_rating": each, "acceleration": ACCELERATION} for each in (95, 99)],
    "manufacturer": "Honda",
    "model": "Civic VTi",
    "activation_code": "abcdef",
}
EXPECTED = 1234 + 2013 + 1 + 2000 + 4 + (30 + 55 + 75) + (95 + 99) + 2 * (30 + 60 + 100) + 5 + 9 + 6
"""What the compiled loop must find in one message."""


def encoded() -> tuple[Schema, bytes]:
    """The schema and the message."""
    schema = Schema.load(SCHEMA)
    return schema, schema.encode("Car", VALUES)


def in_python(schema: Schema, message: bytes) -> Callable[[], Any]:
    """The whole message as a dictionary."""
    if schema.decode(message).to_dict() != VALUES:
        raise RuntimeError("decodes something else")
    return lambda: schema.decode(message).to_dict()


def with_sbe(message: bytes) -> Callable[[], Any]:
    """The same with the package `sbe`."""
    import sbe

    schema = sbe.Schema.parse(io.StringIO(SCHEMA.read_text().partition("?>")[2]))
    if schema.decode(message).value != VALUES:
        raise RuntimeError("decodes something else")
    return lambda: schema.decode(message).value


def with_sbedecoder(message: bytes) -> Callable[[], Any]:
    """The same with the package `sbedecoder`."""
    from sbedecoder import SBEMessage, SBESchema

    schema = SBESchema(include_message_size_header=False)
    schema.parse(str(SCHEMA))

    def entries(group: Any) -> list[dict[str, Any]]:
        return [
            {field.name: field.value for field in each.fields} | {inner.name: entries(inner) for inner in each.groups}
            for each in group.repeating_groups
        ]

    def decode() -> dict[str, Any]:
        found = SBEMessage.parse_message(schema, message)
        values = {field.name: field.value for field in found.fields}
        return values | {group.name: entries(group) for group in found.groups}

    if decode()["performance_figures"] != VALUES["performance_figures"]:
        raise RuntimeError("decodes something else")
    return decode


def _message_at(schema: Schema, kind: LevelType) -> Any:
    """An intrinsic (address, length) -> the message as a handler sees it, walked and sound."""

    @intrinsic
    def message_at(typing_context: Any, address: Any, length: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value, sound = whole_message(context, builder, kind, schema.header, args[0], args[1])
            fault(context, builder, builder.not_(sound), MALFORMED_MESSAGE)
            return value

        return kind(types.int64, types.int64), codegen

    return message_at


def _compiled_loop(schema: Schema) -> Any:
    """(memory, bytes of a message, room of one, count) -> the sum of what stands in `count` messages."""
    layout = schema.messages["Car"]
    kind = LevelType("Car", layout_hash(layout), layout, Walk(layout, lambda function: njit(function, _nrt=False)))
    message_at = _message_at(schema, kind)

    @njit(nogil=True, _nrt=False)
    def read(region, length, room, count):  # type: ignore[no-untyped-def]
        total = 0
        for number in range(count):
            message = message_at(region_address(region) + (number & (MESSAGES - 1)) * room, length)
            total += message.serial_number + message.model_year + message.code
            total += message.engine.capacity + message.engine.num_cylinders
            for figure in message.fuel_figures:
                total += figure.speed
            for figure in message.performance_figures:
                total += figure.octane_rating
                for each in figure.acceleration:
                    total += each.mph
            total += len(message.manufacturer) + len(message.model) + len(message.activation_code)
        return total

    return read


def compiled_ns(count: int) -> Sampler:
    """Nanoseconds to read a whole message in compiled code: walked, every number summed, lengths of text."""
    schema, message = encoded()
    room = (len(message) + 7) // 8 * 8
    region = Region.of(bytearray(message.ljust(room, b"\0") * MESSAGES))
    read = _compiled_loop(schema)

    def sample() -> float:
        read(region, len(message), room, MESSAGES)
        begin = time.perf_counter_ns()
        total = read(region, len(message), room, count)
        took = time.perf_counter_ns() - begin
        if total != EXPECTED * count:
            raise RuntimeError(f"read something else: {total} instead of {EXPECTED * count}")
        return took / count

    return sample
