"""What commands share that order something of a leader: offered through the admin ring, answered by an entry."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from statevec.cli.echo import echo
from statevec.cli.send import refuse_silent_leader
from statevec.engine.config import ADMIN_RING
from statevec.engine.instance import open_instance
from statevec.ipc.log import LogReader, attach_log, released_position
from statevec.journal.admin_layout import AdminCommand
from statevec.journal.entry_layout import ADMIN
from statevec.journal.entry_view import Entry
from statevec.roles.producer import Producer

PAUSE_SECONDS = 0.001


class OrderError(Exception):
    """The order was refused, or what it asked for failed; the text says why."""


class Order:
    """An order that was accepted: `answer` is its entry, `said` the engine's words. Raises `OrderError` otherwise."""

    def __init__(
        self, instance: str | Path, command: int, why: str, timeout: float, *, subject: str = "", at: int = 0,
        forced: bool = False,
    ) -> None:  # fmt: skip
        opened = open_instance(instance)
        leader = opened.leader()
        if leader is None or ADMIN_RING not in leader.rings:
            raise OrderError(f"{instance} has no leader that takes commands")
        order = AdminCommand(command, at, forced, subject, getpass.getuser(), why)
        self._deadline = time.monotonic() + timeout
        with ExitStack() as stack:
            log = stack.enter_context(attach_log(opened.instance_id, populate=False))
            self._reader = stack.enter_context(LogReader(log, released_position(log)))
            refuse_silent_leader(log)
            with Producer(instance, ADMIN_RING) as producer:  # not longer: another operator may want to be refused
                sequence = producer.send(order.encode(), timeout)
                mine = (leader.rings[ADMIN_RING], sequence)
                self.answer = self.wait(lambda entry: (entry.source, entry.source_sequence) == mine)
            self.said = AdminCommand.decode(self.answer.input)
            if self.answer.outcome != 0:
                raise OrderError(f"refused (entry {self.answer.sequence}): {self.said.answer}")
            self._open = stack.pop_all()

    def wait(self, wanted: Callable[[Entry], bool]) -> Entry:
        """The next released entry that is wanted."""
        while time.monotonic() < self._deadline:
            found = self._reader.poll()
            if found is None:
                time.sleep(PAUSE_SECONDS)
                continue
            entry = Entry(bytes(found))
            if wanted(entry):
                return entry
        raise OrderError("nothing came in time; what was ordered may still happen: statevec journal --kind admin")

    def tell(self) -> None:
        """Print the engine's answer."""
        echo(f"entry {self.answer.sequence}: {self.said.answer}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def is_word_on(entry: Entry, *commands: int) -> bool:
    """Whether the engine itself says in this entry that such an order, once accepted, cannot be carried out."""
    return entry.kind == ADMIN and entry.source == 0 and AdminCommand.decode(entry.input).command in commands
