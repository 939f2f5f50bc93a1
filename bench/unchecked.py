"""The hedge plugin compiled without checked arithmetic and without loop budgets, to see what these cost.

Only for measuring: the loader's rewrite is held off while a copy of the plugin is loaded, whose source says so in one
more line, so that its hash, and with it every cache key, is its own.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.hedge_feed import PLUGIN
from statevec.engine.plugin import rewrite
from statevec.engine.plugin.loader import LoadedPlugin, load_plugin

NOTE = "\n# Loaded by bench without checked arithmetic and loop budgets.\n"


@contextmanager
def _rewriting_less() -> Iterator[None]:
    binary, unary, loop = dict(rewrite.BINARY), dict(rewrite.UNARY), rewrite._FunctionRewrite._loop

    def bare_loop(self: rewrite._FunctionRewrite, node: ast.For | ast.While) -> ast.stmt:
        node.body, node.orelse = self._block(node.body), self._block(node.orelse)
        return node

    rewrite.BINARY.clear()
    rewrite.UNARY.clear()
    rewrite._FunctionRewrite._loop = bare_loop  # type: ignore[method-assign]
    try:
        yield
    finally:
        rewrite.BINARY.update(binary)
        rewrite.UNARY.update(unary)
        rewrite._FunctionRewrite._loop = loop  # type: ignore[method-assign]


def load_unchecked(folder: Path) -> LoadedPlugin:
    """The hedge plugin, copied into `folder`, without the checks."""
    directory = folder / "unchecked"
    shutil.copytree(PLUGIN, directory, ignore=shutil.ignore_patterns("__pycache__"))
    source = directory / "hedge.py"
    source.write_text(source.read_text() + NOTE)
    with _rewriting_less():
        return load_plugin(directory)
