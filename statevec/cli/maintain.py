"""`statevec resume`, `ring repair | release`, `gateway retire`, `clean`: what an operator does about what stopped."""

from __future__ import annotations

import click

from statevec.cli.cutover import INSTANCE, TIMEOUT, WHY
from statevec.cli.echo import echo


@click.command()
@INSTANCE
def resume(instance: str) -> None:
    """Clear the halt mark that a disk error left, once the reason is known and gone.

    The next engine writes everything again that is not known to be durable.
    """
    from statevec.engine.instance import LeaderLock, open_instance
    from statevec.roles.halted import resume as resume_instance

    opened = open_instance(instance)
    with LeaderLock(opened.directory):
        reason = resume_instance(opened)
    echo(f"{opened.directory} is not halted" if reason is None else f"cleared: {reason}")


@click.group()
def ring() -> None:
    """Look after one ring."""


@ring.command()
@click.argument("name")
@INSTANCE
def repair(name: str, instance: str) -> None:
    """Make ring NAME whole after its producer died: for producers that cannot do it themselves (Java, C++).

    Python producers do the same whenever they start.
    """
    from statevec.roles.producer import Producer

    with Producer(instance, name) as producer:
        repaired = producer.repaired
    echo(
        f"ring {name}: {repaired.padded_bytes} bytes of uncommitted records became padding; "
        f"next sequence {repaired.last_sequence + 1} (appended {repaired.appended_sequence}, "
        f"released {repaired.released_sequence})"
    )


@ring.command()
@click.argument("name")
@INSTANCE
@WHY
@TIMEOUT
def release(name: str, instance: str, why: str, timeout: float) -> int:
    """Let the engine read ring NAME again, which it has quarantined: it is made anew while the engine goes on.

    End its producer first. A producer that attaches afterwards goes on after what the log has of it.
    """
    from statevec.cli.order import Order, OrderError, is_word_on
    from statevec.journal.admin_layout import RELEASE_RING, AdminCommand
    from statevec.journal.entry_layout import ADMIN, RING_ATTACH

    with Order(instance, RELEASE_RING, why, timeout, subject=name) as order:
        order.tell()
        done = order.wait(lambda entry: entry.kind == RING_ATTACH or is_word_on(entry, RELEASE_RING))
        if done.kind == ADMIN:
            raise OrderError(f"entry {done.sequence}: {AdminCommand.decode(done.input).answer}")
    echo(f"entry {done.sequence}: ring {name} is open")
    return 0


@click.group()
def gateway() -> None:
    """Look after one gateway."""


@gateway.command()
@click.argument("name")
@INSTANCE
def retire(name: str, instance: str) -> None:
    """Forget gateway NAME, which is not coming back: its cursor no longer holds journal segments back.

    Should a gateway of that name come again, it begins with the first entry that is there.
    """
    from statevec.engine.instance import open_instance
    from statevec.roles.cursor import retire as retire_gateway

    cursor = retire_gateway(open_instance(instance), name)
    echo(f"gateway {name} is retired; it had acknowledged up to sequence {cursor.sequence}")


@click.command()
@click.option("--instance", type=click.Path(exists=True, file_okay=False), help="Rings and log of this instance too.")
@click.option("--lost", metavar="ID", help="Rings and log of an instance whose directory is gone (16 hex digits).")
@click.option("--discard", is_flag=True, help="Also unread messages, and log bytes that no disk has. They are lost.")
def clean(instance: str | None, lost: str | None, discard: bool) -> None:
    """Remove the shared memory that dead processes left, and only that.

    Rings and log of an instance outlive their engine on purpose: they go only with --instance (whose lock is taken
    first) or --lost, and only when nothing in them is needed any more, or with --discard.
    """
    from statevec.engine.instance import LeaderLock, open_instance
    from statevec.ipc.clean import OF_AN_INSTANCE
    from statevec.ipc.clean import clean as clean_segments

    if instance is not None:
        opened = open_instance(instance)
        with LeaderLock(opened.directory):
            actions = clean_segments(lambda _: True, instance_id=opened.instance_id, discard=discard)
    elif lost is not None:
        actions = clean_segments(lambda _: True, instance_id=_instance_id(lost), discard=discard)
    else:
        actions = clean_segments(lambda _: False, discard=discard)
    for action in actions:
        echo(f"{'removed' if action.removed else 'kept'} {action.name} ({action.size} bytes): {action.reason}")
    if not actions:
        echo("nothing to clean")
    if any(action.reason == OF_AN_INSTANCE for action in actions):
        echo(
            "rings and logs outlive their engine: --instance DIR takes those of a stopped instance, "
            "--lost ID those of one whose directory is gone"
        )


def _instance_id(text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = 0
    if len(text) != 16 or not 0 < number < 1 << 63:
        raise click.UsageError(f"not an instance id: {text!r} (16 hex digits, as in instance.json)")
    return number
