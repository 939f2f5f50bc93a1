"""The source of a plugin: its files, their hash, and the parts of its module that checks and rewriting need.

A plugin's directory holds one Python module (besides an empty or docstring-only `__init__.py`), its schema, and
whatever else belongs to it. The *content hash* covers every file but byte code and dot files, by relative name and
content: it is the logic version's identity.

Invariants
    A `PluginSource` is one reading of the directory: what was hashed, what is executed and the schema that is used are
    the same bytes, whatever happens to the files meanwhile.

Nobody writes here.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from statevec.engine.plugin.errors import PluginError

FILES_MAX = 1_000
BYTES_MAX = 16 << 20
ROOT_DECORATORS = ("on", "on_timer", "invariant", "migrate")
"""Decorators of functions that the engine calls; their first argument is the transaction."""


@dataclass
class PluginSource:
    """One reading of a plugin's directory."""

    directory: Path
    path: Path
    content_hash: str
    tree: ast.Module
    files: dict[str, bytes]
    """Content by relative name: what was hashed."""
    plugin_name: str = ""
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    globals: dict[str, int] = field(default_factory=dict)
    """Names bound at module level, and the line that does it."""

    def error(self, text: str, node: ast.AST | int) -> PluginError:
        line = node if isinstance(node, int) else getattr(node, "lineno", 0)
        return PluginError(text, self.path, line)

    def read(self, path: Path) -> bytes:
        """The bytes of one of the plugin's files as they were hashed; FileNotFoundError for any other path."""
        inside = Path(os.path.abspath(path))
        name = inside.relative_to(self.directory).as_posix() if inside.is_relative_to(self.directory) else ""
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "it is no file of the plugin", str(path))
        return self.files[name]

    def root_decorator(self, function: ast.FunctionDef) -> str:
        """`on`, `on_timer`, `invariant` or `migrate` for a function that the engine calls, else an empty text."""
        for each in function.decorator_list:
            target = each.func if isinstance(each, ast.Call) else each
            if isinstance(target, ast.Attribute) and target.attr in ROOT_DECORATORS:
                return target.attr
        return ""


def plugin_files(directory: Path) -> dict[str, bytes]:
    """Content by relative name of all files of a plugin: no dot files, no byte code.

    Raises `PluginError` for a directory with more than FILES_MAX or BYTES_MAX: it is another one than was meant.
    """
    found: dict[str, bytes] = {}
    size = 0
    for path in _files_below(directory):
        size += path.stat().st_size
        if len(found) == FILES_MAX or size > BYTES_MAX:
            raise PluginError(f"not a plugin's directory: more than {FILES_MAX} files or {BYTES_MAX} bytes", directory)
        found["/".join(path.relative_to(directory).parts)] = path.read_bytes()
    return dict(sorted(found.items()))


def _files_below(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        yield from (path for name in names if not name.startswith(".") and (path := Path(folder, name)).is_file())


def hash_of_files(files: dict[str, bytes]) -> str:
    """The content hash (hex) of a plugin's files."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _module_name(directory: Path, files: dict[str, bytes]) -> str:
    modules = [name for name in files if name.endswith(".py") and name != "__init__.py"]
    if len(modules) != 1 or "/" in modules[0]:
        listed = ", ".join(modules) if modules else "none"
        raise PluginError(f"a plugin has exactly one Python module beside __init__.py, found: {listed}", directory)
    try:
        body = ast.parse(files.get("__init__.py", b"")).body
    except SyntaxError as error:
        raise _syntax_error(error, directory / "__init__.py") from None
    if len(body) > 1 or any(not _is_text(each) for each in body):
        raise PluginError("this file may hold a docstring only", directory / "__init__.py", 1)
    return modules[0]


def _syntax_error(error: SyntaxError, path: Path) -> PluginError:
    text = error.msg if error.msg.startswith("invalid syntax") else f"invalid syntax: {error.msg}"
    return PluginError(text, path, error.lineno or 0)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def read_source(directory: Path, files: dict[str, bytes] | None = None) -> PluginSource:
    """Read a plugin's directory, unless its `files` are given, and parse its module; PluginError for bad syntax."""
    if not directory.is_dir():
        raise PluginError("a plugin is a directory, and this is none", directory)
    files = plugin_files(directory) if files is None else files
    name = _module_name(directory, files)
    path = directory / name
    try:
        tree = ast.parse(files[name], filename=str(path))
    except SyntaxError as error:
        raise _syntax_error(error, path) from None
    source = PluginSource(directory, path, hash_of_files(files), tree, files)
    _collect(source)
    return source


def _collect(source: PluginSource) -> None:
    """Fill in functions, classes and names; a name that is bound twice is an error."""
    for statement in source.tree.body:
        names: list[str] = []
        if isinstance(statement, ast.FunctionDef):
            source.functions[statement.name] = statement
            names = [statement.name]
        elif isinstance(statement, ast.ClassDef):
            source.classes[statement.name] = statement
            names = [statement.name]
        elif isinstance(statement, ast.Assign):
            names = [each.id for each in statement.targets if isinstance(each, ast.Name)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names = [statement.target.id]
        elif isinstance(statement, ast.ImportFrom):
            names = [each.asname or each.name for each in statement.names]
        for name in names:
            if name in source.globals:
                first = source.globals[name]
                raise source.error(f"{name!r} is already bound in line {first}; a name keeps its meaning", statement)
            source.globals[name] = statement.lineno
        if _makes_plugin(statement):
            if source.plugin_name:
                raise source.error("a module declares one Plugin", statement)
            source.plugin_name = names[0]
    if not source.plugin_name:
        raise PluginError(
            'no Plugin is declared: name = Plugin("name", version="1.0.0", schema="file.xml")', source.path
        )


def _makes_plugin(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return (
        isinstance(statement, ast.Assign | ast.AnnAssign)
        and isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "Plugin"
    )
