"""What SBE costs before the first message: loading a schema of 100 messages, compiling a handler that reads one.

Both are work of one thread without waiting, and measured as processor time: who shares the core does not count.
"""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path

from bench.figure import Comparison, alternate
from bench.whole_car import SCHEMA, encoded
from statevec.codecs.schema import Schema
from statevec.engine.plugin.simulate import simulate

MESSAGES = 100
WAITING = "waiting for a core"
LOAD_MOST_MS, COMPILE_MOST_S = 500.0, 1.0
HANDLER = '''"""Round {number}."""

from statevec import Plugin, i64, Key

car = Plugin("car", version="1.0.0", schema="car.xml")


@car.record(capacity=10)
class Total:
    id: Key[i64]
    sum: i64


@car.on("Car")
def on_car(tx, message):
    total = tx.totals.insert(message.model_year)
    total.sum = message.engine.capacity
    for figure in message.fuel_figures:
        total.sum += figure.speed
    if message.manufacturer == b"Honda":
        total.sum += len(message.model)
'''


def large_schema() -> str:
    """The whole Car's schema with its message a hundred times."""
    text = SCHEMA.read_text()
    begin = text.index("  <sbe:message ")
    end = text.index("</sbe:messageSchema>")
    message = text[begin:end]
    copies = (message.replace('name="Car" id="1"', f'name="Car{n}" id="{n}"') for n in range(1, MESSAGES + 1))
    return text[:begin] + "".join(copies) + text[end:]


def _load_ms(text: str) -> float:
    begin = time.process_time()
    schema = Schema.parse(text)
    took = time.process_time() - begin
    if len(schema.messages) != MESSAGES:
        raise RuntimeError(f"{len(schema.messages)} messages")
    return took * 1e3


def _compile_s(number: int) -> float:
    """From the plugin's files to the first message handled; what statevec itself compiles is in the cache."""
    _, message = encoded()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "car.xml").write_bytes(SCHEMA.read_bytes())
        (directory / "car.py").write_text(HANDLER.format(number=f"{number} of {time.time_ns()}"))
        begin = time.process_time()
        entry = simulate(directory, "compiled", 0, 1).send_bytes(message)
        took = time.process_time() - begin
    if not entry.committed:
        raise RuntimeError(entry.reason)
    return took


def measure(smoke: bool) -> list[Comparison]:
    """Loading and compiling."""
    rounds = 1 if smoke else 7
    text = large_schema()
    load = Comparison("SBE schema of 100 messages, loaded", "ms", "lower", target="≤ 500 ms")
    load.excludes = WAITING
    alternate(load, lambda: _load_ms(text), {}, rounds)
    load.met = load.middle <= LOAD_MOST_MS
    handler = Comparison("handler that reads a message, compiled", "s", "lower", target="≤ 1 s")
    handler.excludes = f"statevec's own kernels, which are in the cache; {WAITING}"
    numbers = count()
    _compile_s(next(numbers))
    alternate(handler, lambda: _compile_s(next(numbers)), {}, rounds)
    handler.met = handler.middle <= COMPILE_MOST_S
    return [load, handler]
