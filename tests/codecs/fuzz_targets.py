"""What any bytes are put through, by the fuzzer (`tools/fuzz_sbe.py`) and, for the corpus it found, by the tests.

Each target takes bytes and raises if anything but an `SbeError` comes out of the codec, or if two readers of the same
bytes disagree.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from statevec.codecs.errors import EncodeError, SbeError
from statevec.codecs.framing import FRAMINGS, Framing
from statevec.codecs.message_file import MessageFile
from statevec.codecs.schema import Schema
from statevec.codecs.schema_diff import differences
from statevec.codecs.schema_table import schema_rows
from statevec.engine.plugin.simulate import Simulation, simulate
from tests.plugin.echo import write_echo

XML = Path(__file__).parent / "everything.xml"
CORPUS = Path(__file__).parent / "corpus"
"""Inputs that somebody chose, `TARGET/*`, and those that the fuzzer chose, the lines of `TARGET.hex`."""


def packed(target: str) -> list[bytes]:
    """The inputs that the fuzzer chose."""
    path = CORPUS / f"{target}.hex"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


@cache
def schema() -> Schema:
    return Schema.load(XML)


@cache
def _simulations() -> list[Simulation]:
    """An echo of the schema's first message in both tiers."""
    with tempfile.TemporaryDirectory(prefix="statevec-fuzz-") as parent:
        directory = write_echo(Path(parent) / "echo", {"echo.xml": XML.read_bytes()}, schema().messages["Basket"])
        return [simulate(directory, tier, 0, 1) for tier in ("compiled", "interpreted")]  # type: ignore[arg-type]


def same(first: Any, second: Any) -> bool:
    """Equality in which NaN equals itself."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(each, second[name]) for name, each in first.items())
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(same(*pair) for pair in zip(first, second, strict=True))
    return first == second or (isinstance(first, float) and math.isnan(first) and math.isnan(second))


def message(content: bytes) -> None:
    """Bytes as a message: views, whole values, attributes, JSON, and both tiers of a handler."""
    _read(content)
    entries = [each.send_bytes(content) for each in _simulations()]
    assert entries[0].digest == entries[1].digest, [f"{each.outcome_name} {each.reason}" for each in entries]


def _read(content: bytes) -> None:
    for length in (None, len(content)):
        try:
            view: Any = schema().decode(content, 0, length)
            values = view.to_dict()
            assert same(_leaves(values), _leaves(view.to_tuple()))
            for name, value in values.items():
                _attribute(getattr(view, name), value)
            assert repr(view)
            view.verify()
        except SbeError:
            continue
        try:
            again = schema().from_json(view.layout.name, view.to_json())
        except EncodeError:
            continue  # what passes through on reading, such as text that a field cannot hold, is refused on writing
        assert same(schema().decode(again).to_dict(), values)


def _leaves(values: Any) -> list[Any]:
    """All values that are no containers, in order."""
    if isinstance(values, dict):
        values = list(values.values())
    return [leaf for each in values for leaf in _leaves(each)] if isinstance(values, list | tuple) else [values]


def _attribute(attribute: Any, value: Any) -> None:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        assert len(attribute) == len(value)
        for number, (entry, expected) in enumerate(zip(attribute, value, strict=True)):
            assert same(entry.to_dict(), expected) and same(attribute[number].to_dict(), expected)


def file(content: bytes) -> None:
    """Bytes as a file of framed messages; the first says which framing, or describes one."""
    kind, content = content[:1] or b"\0", content[1:]
    framings = list(FRAMINGS.values())
    framing = framings[kind[0] % len(framings)]
    if kind[0] >= 128 and len(content) >= 4:
        header, width, offset, counted = content[:4]
        try:
            framing = Framing(header, width, "big" if kind[0] & 1 else "little", offset, counted)
        except ValueError:
            return
        content = content[4:]
    with tempfile.NamedTemporaryFile(prefix="statevec-fuzz-") as target:
        target.write(content)
        target.flush()
        _read_file(Path(target.name), framing)


def _read_file(path: Path, framing: Framing) -> None:
    with MessageFile(schema(), path, framing, partial=True) as messages:
        assert sum(len(messages.raw(number)) for number in range(len(messages))) <= path.stat().st_size
        for name in ("Basket", "Quote"):
            numbers = messages.numbers(name)
            try:
                columns = messages.columns(name)
            except SbeError:
                continue
            assert all(len(column) == len(numbers) for column in columns.values())
            for place, number in enumerate(numbers.tolist()):
                try:
                    view: Any = messages[number]
                    mantissa = view.price.mantissa if name == "Quote" else view.leg.price.mantissa
                except SbeError:
                    continue
                assert mantissa == columns["price.mantissa" if name == "Quote" else "leg.price.mantissa"][place]


def xml(content: bytes) -> None:
    """Bytes as a schema."""
    try:
        found = Schema.parse(content)
        for name in found.messages:
            list(schema_rows(found, name))
            image = found.image(name)
            assert found.decode(image, 0, len(image)).decoded_length == len(image)
        assert differences(found, found) == []
    except SbeError:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {"message": message, "file": file, "xml": xml}
