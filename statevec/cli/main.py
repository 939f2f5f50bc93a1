"""The command `statevec`: one entry point; each group of commands is a module that is imported when it is used.

Exit status: 0 done, 1 it failed, 2 the command line or the configuration is wrong. An expected error is one line,
`error: …`, on standard error, with ` | ` between what the error has in lines; a traceback is a bug of ours.
"""

from __future__ import annotations

import importlib
import sys

import click

from statevec.journal.plain_text import line_text

COMMANDS = {
    "run": ("statevec.cli.run", "run", "Run an engine process."),
    "demo": ("statevec.cli.demo", "demo", "Run the whole main job on a small market and check its result."),
    "send": ("statevec.cli.send", "send", "Offer one input by hand and wait for its entry."),
    "status": ("statevec.cli.status", "status", "Show who leads an instance and how far it is."),
    "top": ("statevec.cli.top", "top", "Show an instance live."),
    "plot": ("statevec.cli.plot", "plot", "Draw latency, throughput, exposure or a gap from the journal."),
    "metrics": ("statevec.cli.metrics", "metrics", "Export figures of an instance for Prometheus."),
    "alarms": ("statevec.cli.alarms", "alarms", "Watch an instance, and run a command on each alarm."),
    "journal": ("statevec.cli.journal", "journal", "List and print the entries of a journal."),
    "verify": ("statevec.cli.journal", "verify", "Execute a journal again and compare every digest."),
    "explain": ("statevec.cli.explain", "explain", "Say why an entry came out as it did, down to the line."),
    "what-if": ("statevec.cli.what_if", "what_if", "Run one entry again with another input, state or version."),
    "state": ("statevec.cli.state", "state", "Show the records as they were after an entry."),
    "diff": ("statevec.cli.state", "diff", "Show which records changed between two entries."),
    "history": ("statevec.cli.history", "history", "Show the versions of a record and what caused each."),
    "why": ("statevec.cli.why", "why", "Show what caused an output, and what came back for it."),
    "project": ("statevec.cli.project", "project", "Follow an instance into a DuckDB file."),
    "sql": ("statevec.cli.sql", "sql", "Ask history in SQL."),
    "backtest": ("statevec.cli.backtest", "backtest", "Run a plugin over ticks or a journal with other parameters."),
    "snapshot": ("statevec.cli.snapshot", "snapshot", "Keep the state at this moment, to start from later."),
    "retain": ("statevec.cli.retain", "retain", "Archive or remove journal segments that nobody needs at hand."),
    "shadow": ("statevec.cli.shadow", "shadow", "Run a candidate version beside the live one and compare decisions."),
    "plugin": ("statevec.cli.plugin", "plugin", "Add logic versions to an instance, and look at them."),
    "cutover": ("statevec.cli.cutover", "cutover", "Let a stored version decide from an exact sequence on."),
    "rollback": ("statevec.cli.cutover", "rollback", "Let the version that decided before decide again."),
    "handover": ("statevec.cli.handover", "handover", "Let a standby lead, without a gap."),
    "sbe": ("statevec.cli.sbe", "sbe", "Check SBE schemas, read and write messages, compare versions."),
    "doctor": ("statevec.cli.doctor", "doctor", "Look at an instance and say what is wrong and what to do."),
    "resume": ("statevec.cli.maintain", "resume", "Clear the halt mark that a disk error left."),
    "ring": ("statevec.cli.maintain", "ring", "Repair a ring."),
    "gateway": ("statevec.cli.maintain", "gateway", "Retire a gateway that is not coming back."),
    "clean": ("statevec.cli.maintain", "clean", "Remove the shared memory that dead processes left."),
}
"""Name of each command, where it lives, and what its line in the overview says."""

FAILED = 1
WRONG_USE = 2


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: `statevec --help` compiles and loads nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="statevec", prog_name="statevec")
def statevec() -> None:
    """Business logic as a deterministic state machine over one log in shared memory."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit status."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: list[str]) -> int:
    """Run one command line; returns its exit status."""
    try:
        result = statevec.main(arguments, prog_name="statevec", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return WRONG_USE
    except click.ClickException as error:
        return _report(error.format_message(), WRONG_USE if isinstance(error, click.UsageError) else FAILED)
    except click.Abort:
        return _report("interrupted", FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nobody is there to be told
        return FAILED
    except Exception as error:
        if not is_expected(error):
            raise
        return _report(str(error), WRONG_USE if type(error).__name__ == "ConfigError" else FAILED)
    return result if isinstance(result, int) else 0


def is_expected(error: Exception) -> bool:
    """Whether the error is a named one of ours, or the system's, whose text is all that a user needs."""
    kind = type(error)
    ours = kind.__module__.split(".")[0] == "statevec" and kind.__name__ != "InvariantError"
    return ours or isinstance(error, OSError)


def _report(text: str, status: int) -> int:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    click.echo(line_text(f"error: {' | '.join(line for line in lines if line)}"), err=True)
    return status


if __name__ == "__main__":
    main()
