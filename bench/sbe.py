"""Decoding SBE: ten fields of a flat message in compiled code, a flat block of 66 bytes in Python, and a whole Car with
nested groups and data in both (`whole_car`); what comes before the first message (`sbe_start`).

Peers in Python: one precompiled `struct.unpack_from` of the same block, which is the floor, and the packages `sbe` and
`sbedecoder`.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from bench import sbe_start, whole_car
from bench.figure import Comparison, Sampler, alternate
from bench.processes import FIRST_CORE, pinned
from statevec.codecs.layout import layout_hash
from statevec.codecs.native import StructType, struct_at
from statevec.codecs.schema import Schema
from statevec.ipc.memory import Region, region_address

SCHEMA = Path(__file__).parent / "car.xml"
HEADER_SIZE = 8
BLOCK = struct.Struct("<QqqIIiiIfHHH6sBBBBBB")
MESSAGES = 1024
"""Different messages that the compiled loop reads in turn: more than a compiler can keep in registers."""
COMPILED_MOST_NS = 5.0
STRUCT, SBE, SBEDECODER = "struct.unpack_from", "sbe", "sbedecoder"
LEAST_OF_STRUCT, LEAST_OF_SBE = 1 / 3, 50.0

VALUES = {
    "serial_number": 1234,
    "price": -5_000,
    "sold_at": 1_700_000_000_000_000_000,
    "mileage": 90_000,
    "owner": 7,
    "power": 110,
    "torque": 240,
    "weight": 1_200,
    "efficiency": 0.5,
    "model_year": 2013,
    "capacity": 2_000,
    "max_rpm": 9_000,
    "vehicle_code": "abcdef",
    "available": 1,
    "cylinders": 4,
    "doors": 5,
    "seats": 4,
    "gears": 6,
    "quality": 9,
}


def compiled_decoder(schema: Schema) -> Callable[[int, int, int], int]:
    """A compiled loop over `count` messages of `size` bytes each: sums ten fields of those with the right header."""
    layout = schema.messages["Car"]
    car = struct_at(StructType("Car", layout_hash(layout.fields), layout.fields, False))
    header = int.from_bytes(schema.image("Car")[:HEADER_SIZE], "little")

    @njit(nogil=True, _nrt=False)
    def decode(region, size, count):  # type: ignore[no-untyped-def]
        total = 0
        for number in range(count):
            offset = (number & (MESSAGES - 1)) * size
            if region.load_i64(offset) == header:
                message = car(region_address(region) + offset + HEADER_SIZE)
                total += message.price + message.sold_at + message.mileage + message.owner + message.power
                total += message.torque + message.weight + message.model_year + message.capacity + message.doors
        return total

    return decode


def _compiled_ns(schema: Schema, count: int) -> Sampler:
    message = schema.encode("Car", VALUES)
    size = (len(message) + 7) // 8 * 8
    region = Region.of(bytearray(message.ljust(size, b"\0") * MESSAGES))
    decode = compiled_decoder(schema)
    fields = ("price", "sold_at", "mileage", "owner", "power", "torque", "weight", "model_year", "capacity", "doors")
    once = sum(int(VALUES[name]) for name in fields)
    expected = once * count

    def sample() -> float:
        decode(region, size, MESSAGES)
        begin = time.perf_counter_ns()
        total = decode(region, size, count)
        took = time.perf_counter_ns() - begin
        if (total - expected) % (1 << 64):
            raise RuntimeError(f"decoded something else: {total} instead of {expected}")
        return took / count

    return sample


def _python_ns(decode: Callable[[], Any], count: int) -> Sampler:
    """Nanoseconds of one `decode()`, the call of that function included."""

    def sample() -> float:
        with pinned(FIRST_CORE):
            for _ in range(count // 10):
                decode()
            begin = time.perf_counter_ns()
            for _ in range(count):
                decode()
            return (time.perf_counter_ns() - begin) / count

    return sample


def _sbe(message: bytes) -> Callable[[], Any]:
    import sbe

    schema = sbe.Schema.parse(io.StringIO(SCHEMA.read_text().partition("?>")[2]))
    decoded = schema.decode(message).value
    if decoded["serial_number"] != VALUES["serial_number"] or decoded["doors"] != VALUES["doors"]:
        raise RuntimeError(f"decodes something else: {decoded}")
    return lambda: schema.decode(message).value


def _sbedecoder(message: bytes) -> Callable[[], Any]:
    from sbedecoder import SBEMessage, SBESchema

    schema = SBESchema(include_message_size_header=False)
    schema.parse(str(SCHEMA))

    def decode() -> dict[str, Any]:
        found = SBEMessage.parse_message(schema, message)
        return {field.name: field.value for field in found.fields}

    decoded = decode()
    if decoded["serial_number"] != VALUES["serial_number"] or decoded["doors"] != VALUES["doors"]:
        raise RuntimeError(f"decodes something else: {decoded}")
    return decode


def _late(make: Callable[[bytes], Callable[[], Any]], message: bytes, count: int) -> Sampler:
    """A peer that is imported when its first sample is taken."""
    return lambda: _python_ns(make(message), count)()


def measure(smoke: bool) -> list[Comparison]:
    """Compiled, and in Python: values as a tuple, and a message to a dictionary; a whole Car in both; the start."""
    rounds, compiled_count, count, slow_count = (1, 10_000, 500, 50) if smoke else (7, 50_000_000, 500_000, 10_000)
    schema = Schema.load(SCHEMA)
    message = schema.encode("Car", VALUES)
    with pinned(FIRST_CORE):
        compiled = Comparison("SBE decode, compiled, ten fields of a flat message", "ns", "lower", target="≤ 5 ns")
        alternate(compiled, _compiled_ns(schema, compiled_count), {}, rounds)
        compiled.met = compiled.middle <= COMPILED_MOST_NS
    view = schema.decode(message)
    block = Comparison("SBE decode, Python, 66-byte block to a tuple", "ns", "lower")
    block.target = f"within 3 × of {STRUCT}; ≥ 50 × {SBE}, which gives a dictionary"
    block.excludes = "the header: one view is wrapped around message after message"
    ours = _python_ns(lambda: view.wrap(message).to_tuple(), count)
    unpack = BLOCK.unpack_from
    floor = _python_ns(lambda: unpack(message, HEADER_SIZE), count)
    alternate(block, ours, {STRUCT: floor, SBE: _late(_sbe, message, slow_count)}, rounds)
    block.decide({STRUCT: LEAST_OF_STRUCT, SBE: LEAST_OF_SBE})
    whole = Comparison("SBE decode, Python, message to a dictionary", "ns", "lower", target=f"≥ 50 × {SBE}")
    peers = {SBE: _late(_sbe, message, slow_count), SBEDECODER: _late(_sbedecoder, message, slow_count)}
    alternate(whole, _python_ns(lambda: schema.decode(message).to_dict(), count), peers, rounds)
    whole.decide({SBE: LEAST_OF_SBE})
    cars = _whole_cars(rounds, compiled_count // 100, count // 10, slow_count)
    return [compiled, block, whole, *cars, *sbe_start.measure(smoke)]


def _whole_cars(rounds: int, compiled_count: int, count: int, slow_count: int) -> list[Comparison]:
    """A Car with nested groups and data."""
    with pinned(FIRST_CORE):
        compiled = Comparison("SBE decode, compiled, whole Car: nested groups and data", "ns", "lower")
        alternate(compiled, whole_car.compiled_ns(compiled_count), {}, rounds)
    schema, message = whole_car.encoded()
    python = Comparison("SBE decode, Python, whole Car to a dictionary", "ns", "lower")
    peers = {
        SBE: _late(whole_car.with_sbe, message, slow_count),
        SBEDECODER: _late(whole_car.with_sbedecoder, message, slow_count),
    }
    alternate(python, _python_ns(whole_car.in_python(schema, message), count), peers, rounds)
    return [compiled, python]
