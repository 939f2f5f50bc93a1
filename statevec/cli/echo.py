"""`echo`, `echo_json` and `marked`: how every command writes text, so that a terminal obeys nothing of an instance.

Invariant: one call is one line, whatever the text holds. Nothing here keeps state.
"""

from __future__ import annotations

from typing import Any

import click

from statevec.journal.plain_text import json_text, line_text


def echo(text: str, err: bool = False) -> None:
    """Write one line to standard output, or to standard error; what is not printable is escaped."""
    click.echo(line_text(text), err=err)


def marked(text: str) -> str:
    """Text as a cell of a rich table: neither the terminal nor rich's markup obeys it."""
    from rich.markup import escape

    return escape(line_text(text))


def echo_json(value: Any) -> None:
    """Write a value as JSON in one line. Raises what msgspec raises for a value that JSON does not know."""
    import msgspec

    click.echo(json_text(msgspec.json.encode(value).decode()))
