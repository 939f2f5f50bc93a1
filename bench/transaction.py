"""Re-execution of a hedge journal on one core: both tiers, what the checks cost, and what a growing table costs.

The journal is that of a real engine with a feed, a desk and a venue around it (`hedge_feed`): about nine entries in ten
are quotes. Every entry's hash and chain is checked before it is executed, and its digest is compared afterwards.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bench.engine import MeasuredEngine, Surroundings, work_directory
from bench.figure import Comparison, alternate
from bench.growth import measure_growth
from bench.hedge_feed import PLUGIN
from bench.processes import FIRST_CORE, pinned
from bench.unchecked import load_unchecked
from statevec.engine.execution import Execution
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.replay import replay
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import find_end

UNCHECKED = "without checks"
COMPILED_LEAST, INTERPRETED_LEAST = 10e6, 100e3
CHECKED_LEAST_OF_UNCHECKED = 1 / 1.2


@contextmanager
def recorded_journal(seconds: float) -> Iterator[Path]:
    """The journal that an engine wrote in that time, flat out."""
    folder = work_directory()
    try:
        with MeasuredEngine("memory") as engine:
            with Surroundings(engine) as surroundings:
                surroundings.drive(seconds)
            engine.stop()
            shutil.move(engine.folder / "instance" / "journal", folder / "journal")
            engine.drop_shared_memory()
        yield folder / "journal"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def execute_again(
    journal: Path, plugin: LoadedPlugin, tier: Literal["compiled", "interpreted"], most: int | None = None
) -> float:
    """Entries a second, of the first `most` entries; every digest must come out as it was."""
    reader = JournalReader(journal)
    end = find_end(journal)
    limit = end.position if most is None or most >= end.sequence else reader.find(most + 1)
    execution = Execution(plugin.table_specs, plugin.dispatch(tier))
    begin = time.perf_counter()
    result = replay(execution, reader, limit)
    took = time.perf_counter() - begin
    if result.difference is not None:
        raise RuntimeError(f"executing the journal again gives something else at sequence {result.sequence + 1}")
    return result.entries / took


def measure(smoke: bool) -> list[Comparison]:
    """Both tiers against their targets, the compiled one beside itself without checks, and growth."""
    rounds, seconds, few = (1, 0.001, 500) if smoke else (5, 3.0, 200_000)
    excludes = "loading and compiling the plugin"
    compiled = Comparison("re-execution, compiled", "entries/s", "higher", target="≥ 10 M/s", excludes=excludes)
    cost = Comparison("re-execution, checked against unchecked", "entries/s", "higher", excludes=excludes)
    cost.target = "checks cost ≤ 20 %"
    interpreted = Comparison("re-execution, interpreted", "entries/s", "higher", target="≥ 100 k/s", excludes=excludes)
    plugin = load_plugin(PLUGIN)
    with recorded_journal(seconds) as journal, pinned(FIRST_CORE):
        execute_again(journal, plugin, "compiled")
        peers = {}
        if not smoke:  # compiling it takes longer than all the rest
            unchecked = load_unchecked(journal.parent)
            execute_again(journal, unchecked, "compiled")
            peers[UNCHECKED] = lambda: execute_again(journal, unchecked, "compiled")
        alternate(cost, lambda: execute_again(journal, plugin, "compiled"), peers, rounds)
        cost.decide({UNCHECKED: CHECKED_LEAST_OF_UNCHECKED})
        compiled.ours = list(cost.ours)
        compiled.met = compiled.middle >= COMPILED_LEAST
        compiled.details = {"entries": find_end(journal).entries}
        alternate(interpreted, lambda: execute_again(journal, plugin, "interpreted", few), {}, rounds)
        interpreted.met = interpreted.middle >= INTERPRETED_LEAST
    return [compiled, cost, interpreted, measure_growth(smoke)]
