"""Who sees everything in a simulation, and says after each step whether the rules hold.

    the log     each entry as it is published: dense, in the order of its producers, its epoch unique and growing
    positions   durable ≤ written ≤ appended, released no further than the mode says, none goes back
    standbys    the digest of the log after the same entry
    outside     each output that a gateway hands over: released, whole, the next one; again only by another process

Invariants
    `problems` are rules that were broken, in words; the run ends with the first.
    After power loss the log is the one that recovery found: a prefix, with all that was released in `disk` mode.

Nothing here changes what it looks at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from statevec.ipc import log_layout
from statevec.ipc.log_kernels import PADDING
from statevec.ipc.memory import Region
from statevec.journal.entry_layout import COMMAND, LEADERSHIP
from statevec.journal.entry_view import Entry
from tools.simulation.messages import content_of

Identity = tuple[int, int, int]


@dataclass
class Outside:
    """What a gateway's outside was handed: how many outputs of the log, in order; who hands over now."""

    delivered: int = 0
    process: object = None
    reached: int = -1
    """Number of the last output that this process handed over."""


@dataclass
class Observer:
    """`sources` are the producers' ring numbers by source number."""

    durability: str
    heavy: bool = False
    """Whether messages are long, so that slow readers are lapped."""
    sources: dict[int, int] = field(default_factory=dict)
    left_out: set[tuple[int, int]] = field(default_factory=set)
    """Ring and number of what producers left out on purpose."""
    problems: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    outputs: list[tuple[Identity, bytes, int]] = field(default_factory=list)
    """Identity, message, and where its entry ends."""
    known: dict[Identity, bytes] = field(default_factory=dict)
    """Every output that ever was in a log, also in one that is lost."""
    last: dict[int, int] = field(default_factory=dict)
    """Source to its last number in the log."""
    position: int = 0
    epoch: int = 0
    released: int = 0
    durable: int = 0
    outside: Outside = field(default_factory=Outside)
    log: Region | None = None
    _capacity: int = 0

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def follow(self, log: Region) -> None:
        """Look at this log, in memory that is not stepped."""
        self.log = Region(log.address, log.size, log.owner)
        self._capacity = log.size - log_layout.DATA

    def look(self) -> None:
        """After a step: the positions, and what was published."""
        if self.log is None:
            return
        load = self.log.load_i64
        appended, written, durable = load(log_layout.APPENDED), load(log_layout.WRITTEN), load(log_layout.DURABLE)
        released = load(log_layout.CONTROL + load(log_layout.RELEASED_AT))
        if not durable <= written <= appended:
            self.say(f"positions are out of order: durable={durable} written={written} appended={appended}")
        most = durable if self.durability == "disk" else appended
        if released > most:
            self.say(f"released={released} is beyond what may be: durable={durable} appended={appended}")
        if released < self.released or durable < self.durable:
            self.say(
                f"positions go back: released={released} from {self.released}, durable={durable} from {self.durable}"
            )
        self.released, self.durable = released, durable
        if appended < self.position:
            self.say(f"appended={appended} goes back from {self.position}")
        while self.position < appended and not self.problems:
            self._take(appended)

    def _take(self, appended: int) -> None:
        assert self.log is not None
        place = log_layout.DATA + self.position % self._capacity
        length, kind = self.log.load_i32(place), self.log.load_i32(place + 4)
        if not 8 <= length <= appended - self.position:
            self.say(f"no entry stands at a published position={self.position}: length={length}")
            return
        if kind != PADDING:
            self._take_entry(Entry(bytes(self.log.view[place : place + length])))
        self.position += length

    def _take_entry(self, entry: Entry) -> None:
        if (entry.sequence, entry.position) != (len(self.entries) + 1, self.position):
            self.say(f"entry {entry.sequence} at {entry.position} stands where {len(self.entries) + 1} belongs")
        if self.entries and entry.timestamp_ns < self.entries[-1].timestamp_ns:
            self.say(f"time goes back at entry {entry.sequence}")
        if entry.kind == LEADERSHIP:
            if entry.epoch <= self.epoch:
                self.say(f"epoch {entry.epoch} was given before: last={self.epoch}")
            self.epoch = entry.epoch
        elif entry.epoch != self.epoch:
            self.say(f"entry {entry.sequence} is of epoch {entry.epoch}, the leader's is {self.epoch}")
        if entry.kind == COMMAND and entry.source in self.sources:
            self._take_input(entry)
        self.entries.append(entry)
        for output in entry.outputs():
            if output.identity in self.known:
                self.say(f"identity {output.identity} comes again")
            self.known[output.identity] = output.message
            self.outputs.append((output.identity, output.message, entry.end_position))

    def _take_input(self, entry: Entry) -> None:
        last, number = self.last.get(entry.source, 0), entry.source_sequence
        if number <= last:
            self.say(f"input {number} of source {entry.source} comes again at entry {entry.sequence}")
        if (number != last + 1) != entry.gap:
            self.say(f"input {number} of source {entry.source} follows {last}, gap={entry.gap}, entry {entry.sequence}")
        lost = [each for each in range(last + 1, number) if (self.sources[entry.source], each) not in self.left_out]
        if lost:
            self.say(f"inputs {lost} of source {entry.source} are lost before entry {entry.sequence}")
        self.last[entry.source] = number
        wanted = content_of(self.sources[entry.source], number, self.heavy)
        if entry.input_true_length != len(wanted) or entry.input != wanted[: len(entry.input)]:
            self.say(f"entry {entry.sequence} does not hold message {number} of source {entry.source}")

    def standby_at(self, sequence: int, digest: int) -> None:
        """A standby has run the entry `sequence`."""
        if sequence > len(self.entries):
            self.say(f"a standby is at sequence={sequence} of {len(self.entries)}")
        elif sequence and digest != self.entries[sequence - 1].digest:
            self.say(f"a standby's digest at sequence={sequence} is not the log's")

    def handed_over(self, process: object, identity: Identity, message: bytes) -> None:
        """A gateway's process hands an output to the outside."""
        outside = self.outside
        again = process is not outside.process
        number = next(
            (each for each in range(outside.delivered, len(self.outputs)) if self.outputs[each][0] == identity), -1
        )
        if number < 0:
            number = next((each for each in range(outside.delivered) if self.outputs[each][0] == identity), -1)
        if number < 0 or self.outputs[number][1] != message:
            self.say(f"output {identity} is none of the log's")
            return
        if self.outputs[number][2] > self.released:
            self.say(f"output {identity} is handed over before it is released")
        if number > outside.delivered:
            self.say(f"output {self.outputs[outside.delivered][0]} was passed over: {identity} comes")
        if not again and number != outside.reached + 1:
            self.say(f"output {identity} comes twice from one process")
        outside.process, outside.reached = process, number
        outside.delivered = max(outside.delivered, number + 1)

    def power_lost(self, position: int) -> None:
        """The log goes on at `position`, where recovery found its end."""
        if position < self.durable or (self.durability == "disk" and position < self.released):
            self.say(f"recovery ends at {position}: durable={self.durable} released={self.released}")
        while self.entries and self.entries[-1].end_position > position:
            self.entries.pop()
        ends = self.entries[-1].end_position if self.entries else 0
        self.outputs = [each for each in self.outputs if each[2] <= ends]
        self.outside.delivered = min(self.outside.delivered, len(self.outputs))
        self.outside.process = None
        self.last = {each.source: each.source_sequence for each in self.entries if each.kind == COMMAND}
        self.position = position
        self.released = self.durable = position
