"""What an examination (`doctor`) finds in journal, snapshots, plugin store and gateways' cursors.

Invariants: nothing is written or locked; where somebody leads, the journal's tail is work in progress and not judged.
A crash leaves nothing.
"""

from __future__ import annotations

from statevec.audit.finding import Finding, fine, note, problem
from statevec.engine.deciders import deciders
from statevec.engine.instance import PLUGINS_DIRECTORY, Instance
from statevec.engine.snapshot_file import SnapshotError, list_snapshots, verify_file
from statevec.engine.store import PluginStore, StoreError
from statevec.ipc.log import LogError, attach_log
from statevec.ipc.segment import SHARED_MEMORY, SegmentError
from statevec.journal.errors import JournalDamagedError, JournalError, SegmentProblemError
from statevec.journal.reader import JournalReader
from statevec.journal.recovery import GENESIS, JournalEnd, JournalStart, find_end
from statevec.journal.segments import SegmentFile, contiguous_segments, list_segments
from statevec.roles.cursor import Cursor, CursorError, read_cursor
from statevec.roles.snapshot import snapshots_durable
from statevec.roles.takeover import known_durable


def journal_start(instance: Instance) -> JournalStart:
    """From where on the journal can be read: genesis, or the oldest whole snapshot where its beginning was retained."""
    segments = list_segments(instance.journal_directory, instance.genesis.unit)
    if not segments or segments[0].first == 0:
        return GENESIS
    for path in reversed(list_snapshots(instance.snapshots_directory)):
        try:
            header = verify_file(path)
        except (SnapshotError, OSError):
            continue
        if header.position >= segments[0].first and header.instance_id == instance.genesis.instance_id:
            return header.start
    raise JournalError(f"journal begins at position={segments[0].first}, and no whole snapshot lies behind that")


def segments_at_hand(instance: Instance) -> list[SegmentFile]:
    """The journal's segments up to the first that does not fit; none where a name is wrong, which is said elsewhere."""
    try:
        return contiguous_segments(instance.journal_directory, instance.genesis.unit)[0]
    except JournalError:
        return []


def has_log(instance: Instance) -> bool:
    """Whether something in shared memory has the name of the instance's log."""
    return (SHARED_MEMORY / instance.segment_name("log")[1:]).exists()


def everywhere_durable(instance: Instance) -> int:
    """The highest position that anything saw durable, as recovery would ask it (rule 9).

    Raises `CursorError`, `SegmentError` or `LogError` where one that knows cannot be asked: then nobody may cut.
    """
    log = attach_log(instance.instance_id, owner=instance.owner) if has_log(instance) else None
    try:
        return known_durable(instance, log, instance.leader())
    finally:
        if log is not None:
            log.close()


def examine_journal(instance: Instance, led: bool) -> list[Finding]:
    """Segments, then whatever depends on where the journal ends."""
    where = instance.journal_directory
    findings = []
    try:
        durable = everywhere_durable(instance)
    except (CursorError, SegmentError, LogError, OSError) as error:
        durable = snapshots_durable(instance)
        remedy = "see to that first; until then no torn tail may be cut"
        findings.append(problem(f"cannot tell all that was durable: {error}", where, remedy))
    try:
        end = find_end(where, start=journal_start(instance), durable=durable)
    except JournalDamagedError as error:
        return [*findings, problem(str(error), where, "restore that segment file from a copy; nothing was changed")]
    except SegmentProblemError as error:
        return [*findings, problem(error.what, where, error.remedy)]
    except (JournalError, OSError) as error:
        remedy = "move what does not belong there out of the directory, or restore what is missing from a copy"
        return [*findings, problem(str(error), where, remedy)]
    findings.append(fine(f"entries up to {end.sequence}, position {end.position}, are whole", where))
    if not led and end.used > end.position:
        what = f"a torn tail of {end.used - end.position} bytes behind position {end.position}: {end.reason}"
        remedy = f"nothing: the next engine cuts it; or: statevec doctor --repair --instance {instance.directory}"
        findings.append(note(what, where, remedy))
    return findings + examine_cursors(instance, end)


def examine_cursors(instance: Instance, end: JournalEnd) -> list[Finding]:
    """Each gateway's cursor against the entry that it names (rule 19)."""
    findings = []
    reader = JournalReader(instance.journal_directory)
    for directory in sorted(path for path in instance.gateways_directory.iterdir() if path.is_dir()):
        try:
            cursor = read_cursor(directory)
        except CursorError as error:
            remedy = f"settle with the outside what went out, then: rm {directory / 'cursor'}"
            findings.append(problem(str(error), directory, remedy))
            continue
        findings.append(_examine_cursor(cursor, reader, end, directory.name, str(directory), has_log(instance)))
    return findings


def _examine_cursor(
    cursor: Cursor, reader: JournalReader, end: JournalEnd, name: str, where: str, logged: bool
) -> Finding:
    if cursor.sequence == 0:
        return fine(f"gateway {name} has acknowledged nothing yet", where)
    if cursor.position >= end.position:
        what = f"gateway {name} is beyond the journal: cursor={cursor.position} journal={end.position}"
        if logged:
            return note(what, where, "nothing: the log in shared memory has more than the journal; start an engine")
        remedy = f"settle with the outside what went out after the journal's end, then: rm {where}/cursor"
        return problem(what, where, remedy)
    try:
        entry = reader.read(cursor.position)
    except JournalError as error:
        return note(f"gateway {name}: its entry cannot be read: {error}", where)
    found = (entry.epoch, entry.sequence, f"{entry.digest & ((1 << 64) - 1):016x}")
    if found != (cursor.epoch, cursor.sequence, cursor.digest):
        what = f"gateway {name} and the journal disagree: cursor={cursor} journal={found}"
        return problem(what, where, "settle with the outside what went out, then remove the cursor file")
    return fine(f"gateway {name} has acknowledged up to {cursor.sequence}", where)


def examine_snapshots(instance: Instance) -> list[Finding]:
    """Whether each snapshot is whole, and of this instance; whether the journal reaches it `examine_journal` says."""
    findings = []
    for path in list_snapshots(instance.snapshots_directory):
        try:
            header = verify_file(path)
        except (SnapshotError, OSError) as error:
            remedy = "nothing: recovery takes the next older one; keep it for a look, or remove it"
            findings.append(problem(str(error), path, remedy))
            continue
        if header.instance_id != instance.genesis.instance_id:
            what = f"snapshot of another instance: id={header.instance_id} expected={instance.genesis.instance_id}"
            findings.append(problem(what, path, "nothing: recovery passes it over; move it to where it belongs"))
            continue
        findings.append(fine(f"snapshot at sequence {header.sequence} is whole", path))
    return findings


def examine_store(instance: Instance) -> list[Finding]:
    """Whether the files of each stored version are those that its hash means."""
    findings = []
    store = PluginStore(instance.directory)
    for version in store.versions():
        try:
            store.files(version.content_hash)
        except (StoreError, OSError) as error:
            findings.append(problem(str(error), version.directory, "restore that directory from a copy"))
            continue
        findings.append(fine(f"stored version {version}", version.directory))
    return findings + _examine_deciders(instance, {version.content_hash for version in store.versions()})


def _examine_deciders(instance: Instance, stored: set[str]) -> list[Finding]:
    """Whether each version that the journal names is in the store."""
    try:
        decided = deciders(instance)
    except (JournalError, OSError):
        return []  # what is wrong with the journal was said
    findings = []
    for content_hash in dict.fromkeys(each.content_hash for each in decided):
        if content_hash and content_hash not in stored:
            first = next(each.first for each in decided if each.content_hash == content_hash)
            what = f"the version that decided from sequence {first} on is not in the store: content_hash={content_hash}"
            remedy = "restore its directory from a copy, or run: statevec plugin add with the same files"
            findings.append(problem(what, instance.directory / PLUGINS_DIRECTORY, remedy))
    return findings
