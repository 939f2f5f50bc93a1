"""Compiled structs and their Python twins: the same source over the same bytes gives the same bytes and faults.

Each function below is one source, run compiled over `StructType`s and as plain Python over `view_class`es. A selector
says which field is meant, so that one compilation covers all of them.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from statevec.codecs.accessors import view_class
from statevec.codecs.layout import PRIMITIVES, FieldLayout, layout_hash, natural_layout
from statevec.codecs.native import FieldTypeError, StructType, assign_field, struct_address, struct_at
from statevec.codecs.schema import Schema
from statevec.ipc.faults import ReadOnly, ValueOutOfRange
from statevec.ipc.kernel import enable_cache
from tests.codecs.kinds import kinds_schema, leaves

INTERESTING = [b"\0", b"\xff", b"\x7f\xff", b"\x80\0", b"\0\x80", b"\xff\x7f", b"\x7f\xf0\0\0", b"\0\x01", b"AB\0C"]
VALUES = [0, 1, 2, 5, -1, -10, 65, 66, 100, 101, 127, 128, 254, 255, 256, -127, -128, -129, 32767, 65534, 65535, -999]
VALUES += [1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, -(1 << 31), (1 << 63) - 1, -(1 << 63), -(1 << 63) + 1, -2]
FLOATS = [0.0, -0.0, 1.5, -1.5, 2.5, 2.6, 1e39, -1e39, 3.4028234663852886e38, 3.4028235677973366e38, 5e-324, 0.1]
FLOATS += [float("inf"), float("-inf"), float("nan"), struct.unpack("<d", b"\1\0\0\0\0\0\xf8\xff")[0]]


class Tiers:
    """One layout in both tiers, and two blocks of memory for each."""

    def __init__(self, name: str, fields: tuple[FieldLayout, ...], size: int) -> None:
        self.fields = fields
        self.size = size
        self.read = StructType(name, layout_hash(fields), fields, False)
        self.edit = StructType(name, layout_hash(fields), fields, True)
        self.read_at, self.edit_at = struct_at(self.read), struct_at(self.edit)
        self.read_view = view_class(name, fields, False)
        self.edit_view = view_class(name, fields, True)
        self.source = np.zeros(size, np.uint8)
        self.targets = [np.zeros(size, np.uint8) for _ in range(2)]

    def function(self, lines: list[str], parameters: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """(compiled, plain) of a function of (source, target, which, …) with one branch for each line."""
        body = "".join(f"    {'el' if n else ''}if which == {n}:\n        {line}\n" for n, line in enumerate(lines))
        text = f"def work(source, target, which{parameters}):\n{body}    return 0\n"
        scope: dict[str, Any] = {"assign_field": assign_field, "__name__": __name__}
        exec(text, scope)
        work = scope["work"]
        inner = f"compiled(read_at(source), edit_at(target), which{parameters})"
        outer: dict[str, Any] = {"compiled": njit(work, _nrt=False), "__name__": __name__}
        outer |= {"read_at": self.read_at, "edit_at": self.edit_at}
        exec(f"def run(source, target, which{parameters}):\n    return {inner}\n", outer)
        run = njit(outer["run"], _nrt=False)
        # compiling is nine tenths of the time of these tests; the key holds all that the source does not say
        return enable_cache(run, extra=text + self.edit.name, module=__name__), work

    def run(self, functions: Any, which: int, *more: Any) -> list[tuple[Any, bytes]]:
        """What each tier gives: value or kind of exception, and the target's bytes."""
        compiled, plain = functions
        results = []
        for tier, target in enumerate(self.targets):
            try:
                if tier == 0:
                    value = compiled(self.source.ctypes.data, target.ctypes.data, which, *more)
                else:
                    source, memory = memoryview(self.source.tobytes()), memoryview(target)
                    value = plain(self.read_view(source, 0), self.edit_view(memory, 0), which, *more)
            except ValueOutOfRange:
                value = "VALUE_OUT_OF_RANGE"
            results.append((value, target.tobytes()))
        return results


def fill(tiers: Tiers, generator: random.Random) -> None:
    """Random bytes in the source, often those where something happens."""
    content = bytearray()
    while len(content) < tiers.size:
        each = generator.choice(INTERESTING)
        content += generator.choice([each, each * 4, generator.randbytes(4), bytes(2), b"\1", b"\2"])
    tiers.source[:] = np.frombuffer(bytes(content[: tiers.size]), np.uint8)


def clean(tiers: Tiers, generator: random.Random) -> None:
    """The same random bytes in both targets: what a store must leave alone."""
    content = np.frombuffer(generator.randbytes(tiers.size), np.uint8)
    for target in tiers.targets:
        target[:] = content


def make_tiers(byte_order: str) -> Tiers:
    message = kinds_schema(byte_order).messages["Kinds"]
    return Tiers("Kinds", message.fields, message.block_length)


@pytest.fixture(scope="module", params=["little", "big"])
def tiers(request: pytest.FixtureRequest) -> Tiers:
    return make_tiers(request.param)


@pytest.fixture(scope="module")
def little() -> Tiers:
    """For what byte order does not change: checks come before the bytes are swapped."""
    return make_tiers("little")


@pytest.fixture(scope="module")
def big() -> Tiers:
    """For reading: copying covers the little one."""
    return make_tiers("big")


def assignment(name: str, value: str) -> str:
    """The assignment as the loader writes it, so that its type is checked."""
    path, _, last = name.rpartition(".")
    return f'assign_field(target{"." if path else ""}{path}, "{last}", {value})'


def test_every_field_is_copied_alike(tiers: Tiers) -> None:
    stored = [(name, field) for name, field, _ in leaves(tiers.fields) if field.presence != "constant"]
    functions = tiers.function([assignment(name, f"source.{name}") for name, _ in stored], "")
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    generator = random.Random(seed)
    stores = 0
    for _ in range(60):
        fill(tiers, generator)
        for which, (name, _) in enumerate(stored):
            clean(tiers, generator)
            compiled, plain = tiers.run(functions, which)
            assert compiled == plain, f"{name} seed={seed} source={tiers.source.tobytes().hex()}"
            stores += compiled[0] == 0
    assert stores > 1000


def test_every_integer_is_stored_or_refused_alike(little: Tiers) -> None:
    kinds = ("integer", "bool", "enum", "set", "float")
    stored = [each for each in leaves(little.fields) if each[1].presence != "constant" and each[1].kind in kinds]
    functions = little.function([assignment(name, "value") for name, _, _ in stored], ", value")
    generator = random.Random(1)
    for which, (name, _, _) in enumerate(stored):
        for value in VALUES:
            clean(little, generator)
            compiled, plain = little.run(functions, which, value)
            assert compiled == plain, f"{name} value={value}"


def test_every_float_is_stored_or_refused_alike(little: Tiers) -> None:
    stored = [each for each in leaves(little.fields) if each[1].kind == "float"]
    functions = little.function([assignment(name, "value") for name, _, _ in stored], ", value")
    generator = random.Random(2)
    for which, (name, _, _) in enumerate(stored):
        for value in FLOATS:
            clean(little, generator)
            compiled, plain = little.run(functions, which, value)
            assert compiled == plain, f"{name} value={value}"


def test_values_read_alike(big: Tiers) -> None:
    lines = []
    for name, field, _ in leaves(big.fields):
        value = f"source.{name}"
        if field.presence == "optional" and field.kind != "set":
            lines.append(f"return 1 if {value} is None else 0")
            continue
        lines.append(
            {
                "chars": f"return len({value}) + 10 * ({value} == b'AB') + 100 * ({value} != b'Petrol')",
                "array": f"return (1 if {value}[1] == {value}[0] else 0) + len({value})",
                "float": f"return 1 if {value} < 1.0 else 0",
                "set": f"return {value} + 0",
            }.get(field.kind, f"return {value} + 0")
        )
    lines.append("return 1 if source.Flags.urgent and not source.Flags.dark else 0")
    lines.append("return 1 if source.Many.top or source.Many.low else 0")
    functions = big.function(lines, "")
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    generator = random.Random(seed)
    clean(big, generator)
    for _ in range(60):
        fill(big, generator)
        for which, line in enumerate(lines):
            compiled, plain = big.run(functions, which)
            assert compiled == plain, f"{line} seed={seed} source={big.source.tobytes().hex()}"


def test_null_text_and_tuples_are_stored_alike(little: Tiers) -> None:
    lines = [assignment(name, "None") for name, field, _ in leaves(little.fields) if field.presence == "optional"]
    lines += [assignment("text6", text) for text in ('b""', 'b"abc"', 'b"a\\0c"', 'b"sixsix"', 'b"seven77"')]
    lines += [assignment("three", each) for each in ("(1, 2, 3)", "(1, 65535, 3)", "(True, 2, -1)")]
    lines += [assignment("pair", "(1, -0.5)"), assignment("letter", 'b"Z"'), "target.three = (4, 5, 6)"]
    lines += ['target.text6 = b"xyz"', "target.Flags = 129", "target.opt_int8 = None", "target.int8 = 300"]
    functions = little.function(lines, "")
    generator = random.Random(3)
    for which, line in enumerate(lines):
        clean(little, generator)
        compiled, plain = little.run(functions, which)
        assert compiled == plain, line


RECORD, RECORD_SIZE = natural_layout([FieldLayout(name, 0, PRIMITIVES[name]) for name in PRIMITIVES if name != "char"])


def test_record_fields_hold_their_whole_range_alike() -> None:
    tiers = Tiers("Record", RECORD, RECORD_SIZE)
    names = [each.attribute for each in RECORD]
    functions = tiers.function([assignment(name, "value") for name in names], ", value")
    generator = random.Random(4)
    for which, name in enumerate(names):
        for value in VALUES:
            clean(tiers, generator)
            compiled, plain = tiers.run(functions, which, value)
            assert compiled == plain, f"{name} value={value}"
            primitive = PRIMITIVES[name]
            if primitive.kind == "integer" and name != "u64":
                fits = primitive.lowest <= value <= primitive.highest
                assert (compiled[0] == 0) is fits, f"{name} value={value}"


def compile_error(record: StructType, source: str) -> str:
    """The compiler's words about a statement on `record`."""
    scope: dict[str, Any] = {"at": struct_at(record), "assign_field": assign_field}
    exec(f"def work(address):\n    record = at(address)\n    {source}\n", scope)
    with pytest.raises(TypingError) as caught:
        njit(scope["work"], _nrt=False).compile("(int64,)")
    return str(caught.value)


def test_what_can_never_work_does_not_compile() -> None:
    schema = kinds_schema("little")
    fields = schema.messages["Kinds"].fields
    read = StructType("Kinds", layout_hash(fields), fields, False)
    edit = StructType("Kinds", layout_hash(fields), fields, True)
    assert issubclass(FieldTypeError, TypingError)
    for record, source, words in (
        (read, "record.int8 = 1", "record Kinds was only read, so 'int8' cannot be assigned"),
        (read, 'assign_field(record, "int8", 1)', "record Kinds was only read, so 'int8' cannot be assigned"),
        (edit, "return record.price", "Kinds has no field 'price' (fields: int8, uint8"),
        (edit, 'assign_field(record, "int8", 1.5)', "float64 cannot be assigned to field 'int8', which is integer"),
        (edit, 'assign_field(record, "int8", None)', "cannot be assigned to field 'int8'"),
        (edit, 'assign_field(record, "text6", 5)', "cannot be assigned to field 'text6', which is text"),
        (edit, 'assign_field(record, "three", (1, 2))', "cannot be assigned to field 'three'"),
        (edit, 'assign_field(record, "answer", 5)', "'answer' of Kinds is a constant"),
        (edit, 'assign_field(record, "Decimal", 5)', "is a composite: assign its members"),
        (edit, "return record.Flags.purple", "set Flags has no choice 'purple' (choices: urgent, dark)"),
    ):
        assert words in compile_error(record, source), source


def test_the_twin_refuses_what_does_not_compile() -> None:
    fields = kinds_schema("little").messages["Kinds"].fields
    read, edit = (view_class("Kinds", fields, writable)(bytearray(250), 0) for writable in (False, True))
    with pytest.raises(ReadOnly, match="record Kinds was only read, so 'int8' cannot be assigned"):
        read.int8 = 1  # type: ignore[attr-defined]
    for name, value in (("int8", 1.5), ("text6", 5), ("answer", 5), ("Decimal", 5), ("three", 7)):
        with pytest.raises(TypeError):
            setattr(edit, name, value)
    with pytest.raises(AttributeError):
        edit.price = 5  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="another enum"):
        edit.Side = kinds_schema("little").enum("Model").A  # type: ignore[attr-defined]


def test_two_versions_of_a_record_are_two_types() -> None:
    first, _ = natural_layout([FieldLayout("a", 0, PRIMITIVES["i64"]), FieldLayout("b", 0, PRIMITIVES["i64"])])
    second, _ = natural_layout([FieldLayout("b", 0, PRIMITIVES["i64"]), FieldLayout("a", 0, PRIMITIVES["i64"])])
    memory = np.array([1, 2], np.int64)
    values = []
    for fields in (first, second):
        at = struct_at(StructType("Record", layout_hash(fields), fields, False))

        def work(address: int, at: Any = at) -> int:
            return at(address).a  # type: ignore[no-any-return]

        values.append(njit(work)(memory.ctypes.data))
    assert values == [1, 2]


def test_equal_schemas_share_their_enums_and_sets() -> None:
    first, second = kinds_schema("little"), Schema.parse(kinds_schema_text_with_another_description())
    assert first.enum("Side") is second.enum("Side")
    assert first.choices("Flags") is second.choices("Flags")
    assert first.hash == second.hash != kinds_schema("big").hash


def kinds_schema_text_with_another_description() -> str:
    from tests.codecs.kinds import schema_text

    return schema_text("little").replace('package="kinds"', 'package="kinds" description="something else"')


def test_a_subclass_reads_like_its_struct() -> None:
    class RowType(StructType):
        """A record view of somebody else's."""

    row = RowType("Row", layout_hash(RECORD), RECORD, True)
    at = struct_at(row)

    def work(address: int) -> Any:
        record = at(address)
        record.i16 = 7
        return record.i16, struct_address(record) == address

    memory = np.zeros(RECORD_SIZE, np.uint8)
    assert njit(work)(memory.ctypes.data) == (7, True)
