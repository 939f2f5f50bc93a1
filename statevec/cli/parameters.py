"""Types of parameters that several commands share. Nothing here keeps state."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

SEQUENCE_MAX = (1 << 63) - 1
SEQUENCE = click.IntRange(1, SEQUENCE_MAX)
"""The sequence of an entry."""
STATE_SEQUENCE = click.IntRange(max=SEQUENCE_MAX)
"""A sequence where the command itself refuses 0 and less, and says what there is."""


class FiniteRange(click.FloatRange):
    """A number within limits; neither nan, which no limit keeps out, nor an infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no finite number", param, ctx)
        return found


class OutputPath(click.Path):
    """Where a command writes: no symbolic link, and nothing inside an instance's directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from statevec.engine.instance import INSTANCE_FILE  # slow to load, and most commands write no file

        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_symlink():
            self.fail(f"{path} is a symbolic link: name what it points to", param, ctx)
        for folder in path.resolve().parents:
            if (folder / INSTANCE_FILE).is_file():
                self.fail(
                    f"{path} lies in the instance {folder}, where only the engine and its tools write", param, ctx
                )
        return path
