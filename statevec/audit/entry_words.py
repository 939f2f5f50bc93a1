"""`EntryReader`: entries of an instance by position or sequence, each decoded with the version that decided it.

Invariant: an entry whose version cannot be loaded is shown with its header and its bytes, and `problems` says why.

Nothing is written or locked; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from statevec.engine.instance import Instance
from statevec.engine.plugin.decoding import decoder_for
from statevec.engine.version_lookup import UnreadableVersionError, VersionLookup
from statevec.journal import reader_layout
from statevec.journal.cold_segments import join_segments, list_cold_segments
from statevec.journal.decode import EntryDecoder
from statevec.journal.entry_view import Entry
from statevec.journal.errors import JournalDamagedError
from statevec.journal.plain_text import line_text
from statevec.journal.reader import JournalReader
from statevec.journal.segments import contiguous_segments

LIST_SHOWN = 4


def time_text(timestamp_ns: int) -> str:
    """A time as people read it, UTC, to the nanosecond."""
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}"


def message_text(message: dict[str, Any] | None) -> str:
    """A decoded message in one line."""
    if message is None:
        return ""
    if "message" not in message:
        return f"bytes={message['bytes']} ({message['reason']})"
    return f"{message['message']} {fields_text(message['fields'])}"


def fields_text(fields: dict[str, Any]) -> str:
    """Fields in one line; of a long list the first entries and how many there are."""
    return " ".join(f"{name}={one_line(value)}" for name, value in fields.items())


def one_line(value: Any) -> str:
    """A decoded value in one line; of a long list the first entries and how many there are."""
    if isinstance(value, dict):
        return "{" + fields_text(value) + "}"
    if isinstance(value, list):
        more = f", … {len(value)} in all" if len(value) > LIST_SHOWN else ""
        return "[" + ", ".join(one_line(each) for each in value[:LIST_SHOWN]) + more + "]"
    return line_text(str(value))


@dataclass(frozen=True)
class DecodedEntry:
    """What led to something: an entry's header, who decided it, and its input in words."""

    sequence: int
    epoch: int
    timestamp_ns: int
    kind: str
    outcome: str
    because: str
    """Why it was rejected or faulted, empty when it was not."""
    source: int
    decided_by: str
    input: dict[str, Any] | None

    @property
    def time(self) -> str:
        return time_text(self.timestamp_ns)

    @property
    def cause(self) -> str:
        """What arrived, in one line."""
        return message_text(self.input) or self.kind

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "time": self.time}


class EntryReader:
    """See the module's docstring. `cold` is the directory of archived segments."""

    def __init__(self, instance: Instance, cold: Path | None = None) -> None:
        unit = instance.genesis.unit
        segments, problem = contiguous_segments(instance.journal_directory, unit)
        archived = list_cold_segments(cold, instance.instance_id) if cold is not None else []
        self.reader = JournalReader(instance.journal_directory, unit, join_segments(archived, segments))
        if problem is not None and not self.reader.segments:
            raise problem
        self.versions = VersionLookup(instance)
        self.problems: list[str] = []
        self.damage: JournalDamagedError | None = None
        self._decoders: dict[int, EntryDecoder] = {}
        first = self.reader.first_entry_of_unit(self.reader.first_position) if self.reader.segments else None
        if first is not None:
            self.versions.note(first)  # a journal that is all there begins with a leadership, which says who decides

    def read(self, position: int) -> Entry:
        """The entry at a position."""
        return self.reader.read(position)

    def at(self, sequence: int) -> Entry:
        """The entry of that sequence. Raises `SequenceNotFoundError`."""
        return self.reader.read(self.reader.find(sequence))

    def last(self) -> Entry | None:
        """The last whole entry, None without any. Where damage keeps the reader from a later one, `damage` says so."""
        if not self.reader.segments:
            return None
        cursor = self.reader.last_cursor()
        try:
            self.reader.judge(cursor)
        except JournalDamagedError as error:
            self.damage = error
        sequence = cursor.load_i64(reader_layout.SEQUENCE)
        return self.at(sequence) if sequence else None

    def first_sequence(self) -> int:
        """The sequence of the first entry that is at hand, 0 without any."""
        first = self.reader.first_entry_of_unit(self.reader.first_position) if self.reader.segments else None
        return first.sequence if first is not None else 0

    def decoder(self, entry: Entry) -> EntryDecoder:
        """The decoder of the version that decided the entry."""
        number = entry.logic_version
        if number not in self._decoders:
            try:
                self._decoders[number] = decoder_for(self.versions.plugin(number))
            except UnreadableVersionError as error:
                self.problems.append(str(error))
                self._decoders[number] = EntryDecoder()
        return self._decoders[number]

    def decoded(self, entry: Entry) -> DecodedEntry:
        """The entry's header and input in words."""
        decoder = self.decoder(entry)
        return DecodedEntry(
            sequence=entry.sequence,
            epoch=entry.epoch,
            timestamp_ns=entry.timestamp_ns,
            kind=entry.kind_name,
            outcome=entry.outcome_name,
            because=decoder.reason(entry),
            source=entry.source,
            decided_by=self.versions.spec(entry.logic_version),
            input=decoder.input(entry),
        )
