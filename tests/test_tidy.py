"""The rules of the house style that a program can check: lengths, docstrings, banned calls, banned names, links."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 400
FUNCTION_LINES = 70
KERNEL_PARAMETERS = 8
ATOMICS = {
    "load_acquire",
    "load_acquire_i32",
    "store_release",
    "store_release_i32",
    "compare_and_set",
    "fetch_add",
    "fence_acquire",
    "fence_release",
}
COMMENT_REACH = 8
"""An atomic's comment stands at most this many lines above it (one comment may cover neighbouring atomics)."""


def source_files(*folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listed if name.endswith(".py") and (ROOT / name).is_file()]


PRODUCT = source_files("statevec", "tools", "bench")
EVERYTHING = source_files("statevec", "tools", "bench", "tests")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def is_kernel(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "kernel" for each in function.decorator_list)


def test_there_is_something_to_check() -> None:
    assert len(PRODUCT) > 20


def test_each_file_holds_one_idea() -> None:
    long = {name_of(path): len(path.read_text().splitlines()) for path in EVERYTHING}
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES} == {}


def test_each_function_ends_within_seventy_lines() -> None:
    long = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in EVERYTHING
        for node in functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    assert long == []


def test_each_module_says_what_it_holds() -> None:
    silent = [name_of(path) for path in PRODUCT if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_kernels_take_at_most_eight_parameters() -> None:
    wide = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in PRODUCT
        for node in functions(path)
        if is_kernel(node) and len(node.args.args) > KERNEL_PARAMETERS
    ]
    assert wide == []


def test_each_atomic_names_its_partner() -> None:
    """Rule 10 of the house style, for kernels: memory.py and atomics.py define the atomics themselves."""
    bare = []
    for path in PRODUCT:
        lines = path.read_text().splitlines()
        for function in functions(path):
            if not is_kernel(function):
                continue
            for node in ast.walk(function):
                if not isinstance(node, ast.Call):
                    continue
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                above = lines[max(function.lineno - 1, node.lineno - 1 - COMMENT_REACH) : node.end_lineno]
                if called in ATOMICS and not any("SYNC POINT" in line for line in above):
                    bare.append(f"{name_of(path)}:{node.lineno} {called}")
    assert bare == []


def test_only_one_decorator_makes_kernels() -> None:
    """`numba.njit` and `cfunc` have options that a kernel must not forget; who uses them directly says why here."""
    allowed = {f"statevec/ipc/{name}.py" for name in ("kernel", "atomics", "memory", "python_call")}
    direct = {name_of(path) for path in source_files("statevec") if re.search(r"\bnjit\b", path.read_text())}
    assert {name for name in direct - allowed if not name.startswith("statevec/engine/plugin/")} == set()


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"multiprocessing\.shared_memory", "its resource tracker unlinks live segments"),
        (r"\bos\.fork\b", "a fork while Numba compiles hangs"),
        (r"from \.+\w* import|from \. import", "the code cache follows absolute imports only"),
        (r"\bTODO\b|\bFIXME\b|\bXXX\b", "what is not done is said in the closing note"),
        (r"/work/(main|shared)", "no path of one machine"),
    ],
)
def test_nobody_uses(pattern: str, why: str) -> None:
    guilty = [name_of(path) for path in PRODUCT if re.search(pattern, path.read_text())]
    assert guilty == [], why


def test_packages_hold_no_code_in_their_init() -> None:
    """The code cache follows imports of modules; a kernel in a package's `__init__` would be missed. Two packages have
    public names, which they look up on first use.
    """
    for path in PRODUCT:
        if path.name == "__init__.py" and path.parent.name not in ("statevec", "codecs"):
            assert len(ast.parse(path.read_text()).body) == 1, name_of(path)


def test_links_at_the_top_lead_to_their_packages() -> None:
    for name in ("ipc", "codecs", "plugins"):
        link = ROOT / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / "statevec" / name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_the_makefile_has_at_most_ten_targets() -> None:
    targets = re.findall(r"^[a-z][a-z-]*:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) <= 10
