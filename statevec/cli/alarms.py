"""`statevec alarms`: watch an instance, say what is wrong, and run a command on each alarm."""

from __future__ import annotations

import shlex
import shutil

import click


@click.command()
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option("--run", "command", metavar="COMMAND", help="Run it on each alarm, the event on its standard input.")
@click.option("--config", type=click.Path(dir_okay=False), help="Take [alarms] from this configuration.")
@click.option("--once", is_flag=True, help="Look once and end; exit status 1 when there is an alarm.")
def alarms(instance: str, command: str | None, config: str | None, once: bool) -> int:
    """Watch an instance until SIGTERM and report, one JSON object a line on standard error, what is wrong.

    Takes no lock of the instance. COMMAND is split as a shell would, and runs without one.
    """
    from msgspec.structs import replace

    from statevec.engine.config import AlarmsConfig, load_config
    from statevec.engine.instance import open_instance
    from statevec.roles.alarm_watch import AlarmWatch
    from statevec.roles.stop_request import StopRequest

    limits = load_config(config).alarms if config is not None else AlarmsConfig()
    if command is not None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise click.BadParameter(f"{error}: {command!r}", param_hint="--run") from None
        if not all(words) or not words:
            raise click.BadParameter(f"names no program: {command!r}", param_hint="--run")
        if shutil.which(words[0]) is None:
            raise click.BadParameter(f"no such program: {words[0]!r}", param_hint="--run")
        limits = replace(limits, command=words)
    opened = open_instance(instance)
    stop = StopRequest()
    watch = AlarmWatch(opened, limits)
    try:
        if once:
            return 1 if watch.turn() else 0
        watch.run(stop.wait)
    finally:
        watch.close()
    return 0
