"""`PluginError`: a plugin that cannot be taken, said with its own file, line and source text."""

from __future__ import annotations

from pathlib import Path


class PluginError(Exception):
    """A rule of the plugin contract is broken: `text` says which, `path` and `line` (0: none in particular) where."""

    def __init__(self, text: str, path: Path | str | None = None, line: int = 0) -> None:
        self.text = text
        self.path = None if path is None else Path(path)
        self.line = line
        super().__init__(self._message())

    def _message(self) -> str:
        if self.path is None:
            return self.text
        if not self.line:
            return f"{self.path}: {self.text}"
        source = self._source_line()
        return f"{self.path}:{self.line}: {self.text}" + (f"\n    {source}" if source else "")

    def _source_line(self) -> str:
        assert self.path is not None
        try:
            lines = self.path.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            return ""
        return lines[self.line - 1].strip() if self.line <= len(lines) else ""
