"""Finding the two versions that a shadow compares: the one that decides, from the journal; the candidate, by its name;
from which sequence on the two can be compared; and from which snapshot to go on.

Nothing is written; a crash leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from statevec.engine.deciders import Decided
from statevec.engine.instance import Instance
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin
from statevec.engine.store import PluginStore
from statevec.journal.segments import contiguous_segments
from statevec.roles.shadow_pairing import same_layout
from statevec.roles.snapshot import Snapshot, newest_snapshot, oldest_snapshot

Mode = Literal["lockstep", "independent"]


class ShadowError(Exception):
    """The shadow cannot compare these two versions, or no longer; the text says why."""


@dataclass(frozen=True)
class Range:
    """What is compared: entries from sequence `first` on, to `last` if there is one."""

    first: int = 1
    last: int | None = None

    def __post_init__(self) -> None:
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise ShadowError(f"there is no entry to compare: from={self.first} to={self.last}")


def find_candidate(instance: Instance, named: str) -> LoadedPlugin:
    """The version named by a directory, by `name@version` or by the first digits of its content hash.

    Raises `PluginError` and `StoreError`.
    """
    if Path(named).is_dir():
        return load_plugin(named)
    store = PluginStore(instance.directory)
    return store.load(store.find(named).content_hash)


def first_decider(instance: Instance, history: list[Decided]) -> LoadedPlugin:
    """The version that decided first, from the store."""
    content_hash = history[0].content_hash if history else ""
    if history and not content_hash:
        raise ShadowError(
            f"who decided from sequence={history[0].first} on is not known: the journal begins there, "
            f"and no snapshot in {instance.snapshots_directory} can be used"
        )
    if not content_hash:
        leader = instance.leader()
        content_hash = leader.content_hash if leader is not None else ""
    if not content_hash:
        raise ShadowError(f"nothing was decided yet: no engine led the instance {instance.directory}")
    return PluginStore(instance.directory).load(content_hash)


def comparable_range(
    instance: Instance, history: list[Decided], candidate: LoadedPlugin, mode: Mode, asked: Range
) -> Range:
    """What of the range can be compared; `ShadowError` where that is nothing, or less than was asked for.

    Independent, that is all of it. In lockstep it begins where the versions that decided begin to lay their state out
    as the candidate does.
    """
    store = PluginStore(instance.directory)
    first = first_decider(instance, history)
    if first.name != candidate.name:
        raise ShadowError(f"these are two plugins: deciding={first.name!r} candidate={candidate.name!r}")
    if mode == "independent":
        return asked
    inside = [
        each for each in history if each.last >= asked.first and (asked.last is None or each.first <= asked.last)
    ] or [Decided(1, first.content_hash, 0, 0)]
    alike = {each.content_hash: same_layout(store.load(each.content_hash), candidate) for each in inside}
    other = [each for each in inside if not alike[each.content_hash]]
    if not other:
        return asked
    if asked.first > 1 or other[-1] == inside[-1]:
        version = store.version(other[-1].content_hash).version
        raise ShadowError(
            "lockstep needs one layout of state, and that of the candidate differs: "
            f"deciding={version} to sequence={other[-1].last} candidate={candidate.version}; "
            "compare with --mode independent"
        )
    return Range(other[-1].last + 1, asked.last)


def starting_snapshot(instance: Instance, compared: Range) -> tuple[Snapshot | None, Range]:
    """The newest usable snapshot before the range, None for genesis; and the range that is left.

    Where the journal does not reach back to genesis, a range that begins there begins after the oldest snapshot.
    """
    snapshot = newest_snapshot(instance, last=compared.first - 1)
    segments, _ = contiguous_segments(instance.journal_directory, instance.genesis.unit)
    if snapshot is not None or not segments or segments[0].first == 0:
        return snapshot, compared
    snapshot = oldest_snapshot(instance)
    if snapshot is None or compared.first > 1:
        reaches = "no snapshot can be used" if snapshot is None else f"the first is {snapshot.header.sequence + 1}"
        raise ShadowError(
            f"entries from sequence={compared.first} on cannot be executed any more: the journal begins at "
            f"position={segments[0].first}, and {reaches}"
        )
    return snapshot, Range(snapshot.header.sequence + 1, compared.last)
