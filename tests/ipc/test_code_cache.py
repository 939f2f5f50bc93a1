"""The cache of compiled code under two processes that compile at the same moment."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import statevec
from statevec.ipc.kernel import PACKAGE, _CheckedFile, _direct_imports, _module_path


def cache_file(folder: Path) -> Any:
    return _CheckedFile(str(folder), "walk.check_entries-58.py313", "stamp")


def test_code_of_another_overload_is_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that found no index yet each keep an overload: the later index has one, and that one is right."""
    first, second = cache_file(tmp_path), cache_file(tmp_path)
    with monkeypatch.context() as both_found_nothing:
        both_found_nothing.setattr(_CheckedFile, "_load_index", lambda self: {})
        first.save(("literal", 6), "code for 6")
        second.save(("literal", 1), "code for 1")
        first.save(("literal", 6), "code for 6")
    found = {key: cache_file(tmp_path).load(key) for key in (("literal", 6), ("literal", 1))}
    assert found == {("literal", 6): "code for 6", ("literal", 1): None}


def test_a_data_file_in_another_ones_place_counts_as_absent(tmp_path: Path) -> None:
    kept = cache_file(tmp_path)
    kept.save(("literal", 6), "code for 6")
    kept.save(("literal", 1), "code for 1")
    six, one = sorted(tmp_path.glob("*.nbc"))
    one.write_bytes(six.read_bytes())
    loaded = [kept.load(("literal", number)) for number in (6, 1)]
    assert sorted(each is None for each in loaded) == [False, True]
    assert loaded[0] in (None, "code for 6")
    assert loaded[1] in (None, "code for 1")


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    for number in range(3):
        cache_file(tmp_path).save(("literal", number), number)
    assert [cache_file(tmp_path).load(("literal", number)) for number in range(4)] == [0, 1, 2, None]


def parsed_imports(path: Path) -> set[str]:
    """What a parser says a module imports by absolute names, modules and names in them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {each for each in found if each.split(".")[0] == PACKAGE and _module_path(each)}


def test_the_key_of_compiled_code_misses_no_import() -> None:
    """A module that is missed here could change without the code that was compiled from it."""
    root = Path(statevec.__file__).parent
    paths = sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)
    assert len(paths) > 300
    for path in paths:
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        missed = parsed_imports(path) - set(_direct_imports(name))
        assert not missed, f"{name}: {missed}"
