"""Where the reference material of SBE lies: `data/sbe` of the shared folder beside the project; skip without it."""

from __future__ import annotations

import json
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
SHARED = Path(os.environ.get("STATEVEC_SHARED", PROJECT.parent / "shared"))
SBE = SHARED / "data" / "sbe"
needs_data = pytest.mark.skipif(not SBE.is_dir(), reason=f"reference material of SBE is not at {SBE}")
FOLDERS = {"real-logic": "schemas-real-logic", "aeron": "schemas-aeron", "fix-conformance": "schemas-fix-conformance"}


def index() -> list[tuple[str, str]]:
    """(path, "OK" or "FAIL") of the reference's index, as far as the schema is there as a file."""
    if not SBE.is_dir():
        return []
    rows = []
    for line in (SBE / "layouts-index.tsv").read_text().splitlines():
        path, verdict = line.split("\t")[:2]
        if schema_path(path).is_file():
            rows.append((path, verdict))
    return rows


def schema_path(path: str) -> Path:
    """The schema of an index row."""
    top, _, rest = path.partition("/")
    if top == "own":
        return SBE / "golden" / Path(rest).stem.replace("-", "_") / "schema.xml"
    return SBE / FOLDERS[top] / rest


@cache
def _layouts() -> zipfile.ZipFile:
    return zipfile.ZipFile(SBE / "layouts.zip")


def reference_layout(path: str) -> dict[str, Any] | None:
    """What the reference's parser makes of a schema; None where it was not kept."""
    name = path.removesuffix(".xml") + ".json"
    if name not in _layouts().namelist():
        return None
    found: dict[str, Any] = json.loads(_layouts().read(name))
    return found


def golden_cases() -> list[Path]:
    """Folders with a message made by the reference's generated encoder."""
    return sorted(each for each in (SBE / "golden").iterdir() if each.is_dir()) if SBE.is_dir() else []
