"""What must hold in a kill matrix, checked entry by entry while it runs: nothing lost, nothing twice, nothing else.

    journal ─► each source's numbers follow one another, and each entry holds the message of its number and its outputs
    venue   ─► every output of the journal once, in order; repeats only by a gateway that took over from a dead one

Invariants
    `lost` and `duplicated` count inputs and outputs; `problems` says in words what else was wrong.
    The check reads only: the journal below what is both written and released, and the venue's file.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from statevec.engine.instance import Instance
from statevec.ipc.faults import COMMITTED, POISONED
from statevec.journal.admin_layout import Cutover
from statevec.journal.entry_layout import COMMAND, CUTOVER, LEADERSHIP
from statevec.journal.entry_view import Entry
from statevec.journal.reader import JournalReader
from tools.killing.messages import outputs_of, parts_of
from tools.killing.venue import Delivery, Identity, deliveries, digest_of

PROBLEMS_MOST = 20


@dataclass
class Check:
    """The check of one instance; `accounts` are those of the producers' sources."""

    instance: Instance
    venue: Path
    accounts: dict[int, int]
    """Source number to account."""
    inputs: int = 0
    outputs: int = 0
    lost: int = 0
    duplicated: int = 0
    repeats: int = 0
    """Outputs that a gateway handed over again after another one had died: with ids that the venue refuses."""
    poisoned: int = 0
    leaderships: int = 0
    epoch: int = 0
    decider: str = ""
    """Content hash of the version that the last cutover let decide, empty before the first."""
    cutovers: int = 0
    problems: list[str] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    """Source number to its last number in the log."""
    position: int = 0
    _sequence: int = 0
    _expected: deque[tuple[Identity, bytes]] = field(default_factory=deque)
    _delivered: dict[Identity, tuple[bytes, int]] = field(default_factory=dict)
    _taken: int = 0

    def advance(self, limit: int) -> None:
        """Check what is new: the journal up to `limit`, and what the venue was handed of it."""
        reader = JournalReader(self.instance.journal_directory)
        for entry in reader.entries(position=self.position, limit=limit):
            self._take_entry(entry)
            self.position = entry.end_position
        for delivery in deliveries(self.venue, self._taken):
            if delivery.identity[1] > self._sequence:
                break  # the journal was read before it
            self._taken += 1
            self._take_delivery(delivery)

    def finish(self, offered: dict[int, int]) -> None:
        """The run is over: everything offered is in the log, and every output was delivered."""
        for source, number in offered.items():
            missing = number - self.last.get(source, 0)
            if missing > 0:
                self.lost += missing
                self._say(f"source {source} was told that {number} is offered, the log ends at {self.last.get(source)}")
        if self._expected:
            self.lost += len(self._expected)
            self._say(f"{len(self._expected)} outputs never came to the venue, first {self._expected[0][0]}")

    def _say(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MOST:
            self.problems.append(problem)

    def _take_entry(self, entry: Entry) -> None:
        if entry.sequence != self._sequence + 1:
            self._say(f"entry {entry.sequence} follows entry {self._sequence}")
        self._sequence = entry.sequence
        if entry.kind == LEADERSHIP:
            if entry.epoch <= self.epoch:
                self._say(f"epoch {entry.epoch} follows epoch {self.epoch} at entry {entry.sequence}")
            self.epoch = entry.epoch
            self.leaderships += 1
        elif entry.epoch != self.epoch:
            self._say(f"entry {entry.sequence} is of epoch {entry.epoch} in the leadership of {self.epoch}")
        if entry.kind == CUTOVER and entry.outcome == COMMITTED:
            self.decider = Cutover.decode(entry.input).content_hash
            self.cutovers += 1
        if entry.kind == COMMAND and entry.source in self.accounts:
            self._take_input(entry)
        for output in entry.outputs():
            self.outputs += 1
            self._expected.append((output.identity, digest_of(output.message)))

    def _take_input(self, entry: Entry) -> None:
        """An input of a producer: the next of its numbers, with the message of that number."""
        self.inputs += 1
        last, number = self.last.get(entry.source, 0), entry.source_sequence
        if number <= last:
            self.duplicated += 1
            self._say(f"input {number} of source {entry.source} comes again at entry {entry.sequence}")
            return
        if number > last + 1:
            self.lost += number - last - 1
            self._say(f"inputs {last + 1} to {number - 1} of source {entry.source} are missing before {entry.sequence}")
        self.last[entry.source] = number
        if parts_of(entry.input) != (self.accounts[entry.source], number):
            self.lost += 1
            self._say(f"entry {entry.sequence} holds {parts_of(entry.input)}, not message {number}")
        if entry.outcome == POISONED:
            self.poisoned += 1
        elif entry.outcome != COMMITTED or len(entry.outputs()) != outputs_of(number):
            self._say(f"entry {entry.sequence}: {entry.outcome_name}, {len(entry.outputs())} outputs")

    def _take_delivery(self, delivery: Delivery) -> None:
        before = self._delivered.get(delivery.identity)
        if before is not None:
            digest, process = before
            if process == delivery.process or digest != delivery.digest:
                self.duplicated += 1
                self._say(f"output {delivery.identity} came twice, by processes {process} and {delivery.process}")
            self.repeats += 1
            self._delivered[delivery.identity] = delivery.digest, delivery.process
            return
        self._delivered[delivery.identity] = delivery.digest, delivery.process
        while self._expected and self._expected[0][0] != delivery.identity:
            if self._expected[0][0][1] > delivery.identity[1]:
                self.duplicated += 1
                self._say(f"output {delivery.identity} is in no entry")
                return
            missed, _ = self._expected.popleft()
            self.lost += 1
            self._say(f"output {missed} did not come before {delivery.identity}")
        if not self._expected or self._expected.popleft()[1] != delivery.digest:
            self.duplicated += 1
            self._say(f"output {delivery.identity} is another than the log's, or in no entry")
