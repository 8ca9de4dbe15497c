"""Compiled kernels on disk: a file for each kernel, argument types and processor.

Numba's own cache knows a kernel by the one file that it stands in: it runs stale code after an edit
of a helper in another file. It also raises where one of its files is damaged or a disk is full.
Here a kernel is fresh while the contents of all files of this folder are the same, whatever their
times and wherever they lie: so kernels may call one another across files, and a copy of the package
keeps what was compiled for it. A file that cannot be used is compiled anew; one that cannot be
written is done without.

What this takes from Numba besides its public names: where a dispatcher keeps its cache (`_cache`),
how it serializes what it compiled (`_reduce`, `_rebuild`, `dumps`), whether that is possible
(`lifted`, `has_dynamic_globals`), and what loaded code needs of its runtime (`rtsys`). All of them
are in 0.60 to 0.68. Without them kernels have Numba's own cache.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numba

from fastkq.kernels import places

try:
    from numba.core.compiler import CompileResult
    from numba.core.runtime import rtsys
    from numba.core.serialize import dumps
except ImportError:  # a later Numba, which has moved them
    CompileResult = rtsys = dumps = None

_log = logging.getLogger("fastkq")

DIGEST_BYTES = hashlib.sha256().digest_size


class KernelCache:
    """What a Numba dispatcher asks for compiled code, and gives it to.

    A file is the stamp of its sources, the digest of its content, and the content: a pickle, which
    is read only where the digest is right.
    """

    def __init__(self, function: Any) -> None:
        self._name = f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}"

    @property
    def cache_path(self) -> str | None:
        """The directory that keeps kernels, of which `dispatcher.stats` tells."""
        place = places.write_place()
        return None if place is None else str(place)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return what was compiled for a signature, or None."""
        # All that compiled code calls besides what it is linked with. To refresh the context, as
        # Numba does here, would load all that it can compile, and SciPy: 0.2 s of a process.
        rtsys.initialize(target_context)
        name = self._file_name(signature, target_context.codegen())
        for place in places.read_places():
            try:
                content = _read(place / name)
                if content is not None:
                    parts = pickle.loads(content)  # noqa: S301 - trusted as the package itself is
                    return CompileResult._rebuild(target_context, *parts)
            except Exception as error:  # unpickling and linking raise anything
                _warn_of_damage(place, error)
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled for a signature, if that can be kept."""
        place = places.write_place()
        if place is None:
            return
        try:
            if compiled.lifted or compiled.library.has_dynamic_globals:
                raise ValueError("it holds pointers of this process")
            content = dumps(compiled._reduce())
            _write(place / self._file_name(signature, compiled.codegen), content)
        except Exception as error:  # a full disk, say: the kernel is compiled, and that will do
            _log.debug("kernel %s is not cached on disk: %s", self._name, error)

    def flush(self) -> None:
        """Forget nothing: a kernel that is compiled anew overwrites its file."""

    def _file_name(self, signature: Any, codegen: Any) -> str:
        # Code with bounds checks is other code from the same sources.
        key = repr((signature, codegen.magic_tuple(), numba.config.BOUNDSCHECK, numba.config.OPT))
        return f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.{places.PYTHON}.nbc"


def attach(dispatcher: Any) -> None:
    """Give a compiled function a cache on disk, if there is a place for one."""
    if not hasattr(dispatcher, "enable_caching"):  # NUMBA_DISABLE_JIT: a function as any
        return
    is_known = hasattr(dispatcher, "_cache") and hasattr(CompileResult, "_rebuild")
    if is_known and places.source_digest() is not None:
        if places.read_places():
            dispatcher._cache = KernelCache(dispatcher.py_func)
    elif _numba_has_a_place():
        try:
            dispatcher.enable_caching()
        except RuntimeError as error:  # Numba: "no locator available for file"
            _log.debug("kernel %s is not cached on disk: %s", dispatcher.__name__, error)


def _numba_has_a_place() -> bool:
    named = bool(os.environ.get("NUMBA_CACHE_DIR"))
    return places.has_home() or named or os.access(places.FOLDER, os.W_OK)


@functools.cache
def _stamp() -> bytes:
    """Return a digest of what a file's content depends on, besides types and the processor."""
    digest = hashlib.sha256(numba.__version__.encode())
    digest.update(places.source_digest() or b"")
    return digest.digest()


def _read(path: Path) -> memoryview | None:
    """Return the content of a file; None if there is none, or it is of other sources."""
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    stamp, digest = bytes(data[:DIGEST_BYTES]), bytes(data[DIGEST_BYTES : 2 * DIGEST_BYTES])
    content = data[2 * DIGEST_BYTES :]
    if len(digest) == DIGEST_BYTES and stamp != _stamp():
        return None
    if digest != hashlib.sha256(content).digest():
        raise ValueError(f"the {len(data)} bytes of {path.name} are not those that were written")
    return content


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: other processes may read it at any time."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(_stamp())
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


_damaged: set[Path] = set()  # places that this process has told of


def _warn_of_damage(place: Path, error: Exception) -> None:
    """Tell of damaged files: one line a process, which a command shows on stderr."""
    if place not in _damaged:
        _damaged.add(place)
        _log.warning(
            "fastkq: a compiled kernel in %s is damaged and is compiled anew: %s", place, error
        )
