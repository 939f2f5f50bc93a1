"""The one decorator of every kernel, the plain form of a kernel, and the cache of compiled code.

A *kernel* is a free function on integers and `Region`s that Numba compiles with the GIL released and without
reference counting. `@kernel` is the only place that says how. Each kernel has three forms with one source:

* compiled as shipped (`STATEVEC_CHECKED` unset),
* compiled with bounds checks (`STATEVEC_CHECKED=1` when the process starts),
* plain Python (`plain(kernel)`), for tests that step it one atomic at a time.

Invariants
    A cached machine code file is used only when everything that went into it is the same: the source of the
    kernel's module and of every statevec module that it imports, directly or not, the build switch, Python, Numba,
    llvmlite, the `NUMBA_*` variables and the CPU. Its bytes are checked against a digest before they are unpickled.

Layout of the cache
    ROOT/KEY/NAME-LINE.pyXY.{nbi,nbc}, each file = 32 bytes BLAKE2b of the rest, then Numba's own bytes.
    ROOT is `$STATEVEC_CACHE`, else `$XDG_CACHE_HOME/statevec`, else `~/.cache/statevec`; mode 0700.

Who writes and who reads
    Any process of the same user. Files are replaced by rename, so that a reader sees an old or a new one, whole.

A crash leaves a temporary file beside the others, which nobody reads.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import njit
from numba.core import caching

CHECKED = os.environ.get("STATEVEC_CHECKED") == "1"
KILL_POINTS = bool(os.environ.get("STATEVEC_KILL_POINTS"))
KILL_POINTS_MODULE = "statevec.ipc.kill_points"
PACKAGE = __name__.split(".")[0]
IMPORT = re.compile(
    rf"(?m)^[ \t]*(?:from[ \t]+({PACKAGE}[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n(]+)|import[ \t]+({PACKAGE}[\w.]*))"
)
"""An absolute import of ours, found in the text: parsing it all took a third of a command's start."""
NAME = re.compile(r"(\w+)(?:\s+as\s+\w+)?")
COMMENT = re.compile(r"#[^\n]*")
DIGEST_SIZE = 32

# A variable that only one branch sets compiles into an arbitrary constant: make Numba say so (an error in tests).
numba.config.ALWAYS_WARN_UNINIT_VAR = 1


def cache_root() -> Path | None:
    """The directory of compiled code, made with mode 0700 if needed; None where it cannot be written."""
    base = os.environ.get("STATEVEC_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = Path(base) if base else Path(home) / "statevec"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
    except OSError:
        return None
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or not os.access(root, os.W_OK):
        return None  # the files are pickles: somebody else's must not be read
    return root


@cache
def _module_path(name: str) -> str | None:
    """Source file of a statevec module, found without importing it; None for a name that is not a module."""
    root = Path(__file__).resolve().parent.parent.parent
    path = root.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return str(candidate)
    return None


@cache
def _direct_imports(name: str) -> tuple[str, ...]:
    path = _module_path(name)
    if path is None:
        return ()
    found: set[str] = set()
    for module, names, plain in IMPORT.findall(Path(path).read_text()):
        found.add(module or plain)
        found.update(f"{module}.{each}" for each in NAME.findall(COMMENT.sub("", names)))
    return tuple(sorted(each for each in found if _module_path(each)))


def import_closure(name: str) -> tuple[str, ...]:
    """Names of the statevec modules that `name` reaches through absolute imports, itself included, sorted."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        each = todo.pop()
        if each not in seen and _module_path(each):
            seen.add(each)
            todo.extend(_direct_imports(each))
    return tuple(sorted(seen))


@cache
def _source_digest(name: str) -> bytes:
    path = _module_path(name)
    assert path is not None
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()


@cache
def source_key(module: str, extra: str = "") -> str:
    """Hash (hex) of all that goes into code compiled in `module`: sources, switches, versions, `NUMBA_*`.

    `extra` adds what sources do not show, such as the content hash of a plugin.
    """
    digest = hashlib.blake2b(digest_size=16)
    closure = import_closure(module)
    for name in closure:
        digest.update(name.encode() + b"\0" + _source_digest(name))
    switches = sorted((key, value) for key, value in os.environ.items() if key.startswith("NUMBA_"))
    can_be_killed = KILL_POINTS and KILL_POINTS_MODULE in closure
    facts = (CHECKED, can_be_killed, sys.version, numba.__version__, llvmlite.__version__, switches, extra)
    digest.update(repr(facts).encode())
    return digest.hexdigest()


class _Locator(caching._CacheLocator):  # Numba has no types
    """Where the compiled code of one function lies."""

    def __init__(self, py_func: Any, root: Path, key: str) -> None:
        self._py_func = py_func
        self._py_file = py_func.__code__.co_filename
        self._path = root / key
        self._key = key

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return self._key

    def get_disambiguator(self) -> str:
        return str(self._py_func.__code__.co_firstlineno)

    def ensure_cache_path(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> None:
        return None


class _Implementation(caching.CompileResultCacheImpl):
    """Numba's reduction of a compile result, at a place of our own."""

    def __init__(self, py_func: Any, locator: _Locator) -> None:
        self._lineno = py_func.__code__.co_firstlineno
        self._locator = locator
        stem = Path(py_func.__code__.co_filename).stem
        self._filename_base = self.get_filename_base(f"{stem}.{py_func.__qualname__}", getattr(sys, "abiflags", ""))


class _CheckedFile(caching.IndexDataCacheFile):
    """Numba's index and data files, each behind a digest of its bytes; a damaged file counts as absent.

    The data file of an overload has a name made of the overload, which its digest covers too. Numba numbers them: two
    processes that compile different overloads at the same moment take the same number, and one of them then finds the
    machine code of the other.
    """

    def _read(self, path: str, key: bytes = b"") -> bytes | None:
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        digest, body = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        return body if _digest(key, body) == digest else None

    def _write(self, path: str, body: bytes, key: bytes = b"") -> None:
        with self._open_for_write(path) as file:
            file.write(_digest(key, body) + body)

    def save(self, key: Any, data: Any) -> None:
        """Keep the code of an overload."""
        overloads = self._load_index()
        name = f"{self._index_name.removesuffix('.nbi')}.{_overload_name(key)}.nbc"
        self._write(self._data_path(name), self._dump(data), repr(key).encode())
        if overloads.get(key) != name:
            overloads[key] = name
            self._save_index(overloads)

    def load(self, key: Any) -> Any:
        """The code of an overload, None when it is not there."""
        name = self._load_index().get(key)
        body = None if name is None else self._read(self._data_path(name), repr(key).encode())
        return None if body is None else pickle.loads(body)

    def _load_index(self) -> dict[Any, str]:
        body = self._read(self._index_path)
        if body is None:
            return {}
        version, stamp, overloads = pickle.loads(body)
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, self._dump((self._version, self._source_stamp, overloads)))


def _digest(key: bytes, body: bytes) -> bytes:
    of_key = hashlib.blake2b(key, digest_size=DIGEST_SIZE).digest()
    return hashlib.blake2b(body, digest_size=DIGEST_SIZE, key=of_key).digest()


def _overload_name(key: Any) -> str:
    return hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()


class CodeCache(caching.FunctionCache):
    """Cache of one function's machine code under a key of ours (see the module's docstring)."""

    def __init__(self, py_func: Any, root: Path, key: str) -> None:
        self._name = repr(py_func)
        self._py_func = py_func
        self._impl = _Implementation(py_func, _Locator(py_func, root, key))
        self._cache_path = self._impl.locator.get_cache_path()
        self._cache_file = _CheckedFile(self._cache_path, self._impl.filename_base, key)
        self.enable()

    def _save_overload(self, sig: Any, data: Any) -> None:
        try:
            super()._save_overload(sig, data)
        except OSError:  # a full or read-only disk costs time, not correctness
            self.disable()


def enable_cache(compiled: Any, extra: str = "", module: str | None = None) -> Any:
    """Give a dispatcher or C callback of Numba our cache; `extra` joins the key. Returns `compiled`."""
    py_func = getattr(compiled, "py_func", None) or compiled._pyfunc
    root = cache_root()
    if root is not None:
        compiled._cache = CodeCache(py_func, root, source_key(module or py_func.__module__, extra))
    return compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Make a kernel of a function: compiled when first called, without the GIL, cached on disk."""
    return enable_cache(njit(function, nogil=True, _nrt=False))


def plain(function: Any, _memo: dict[Any, Any] | None = None) -> Any:
    """The kernel, and every kernel it reaches through its globals, rebuilt as ordinary Python functions."""
    memo = {} if _memo is None else _memo
    source = getattr(function, "py_func", function)
    if source in memo:
        return memo[source]
    namespace = dict(source.__globals__)
    rebuilt = types.FunctionType(source.__code__, namespace, source.__name__, source.__defaults__, source.__closure__)
    memo[source] = rebuilt
    for name in source.__code__.co_names:
        value = namespace.get(name)
        if hasattr(value, "py_func"):
            namespace[name] = plain(value, memo)
    return rebuilt
