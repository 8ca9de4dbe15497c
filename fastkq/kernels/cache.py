"""Where Numba finds what it compiled before, and leaves what it compiles: the files of `stored`.

Numba's own cache knows a kernel by the one file that it stands in: it runs stale code after an edit
of a helper in another file. It also raises where one of its files is damaged or a disk is full.
Here a kernel is fresh while the contents of all files of this folder are the same, whatever their
times and wherever they lie: so kernels may call one another across files, and a copy of the package
keeps what was compiled for it. A file that cannot be used is compiled anew; one that cannot be
written is done without.

What this takes from Numba besides its public names: where a dispatcher keeps its cache (`_cache`),
how it serializes what it compiled (`_reduce`, `_rebuild`, `dumps`), whether that is possible
(`lifted`, `has_dynamic_globals`), the names of what compiled code needs (`_final_module`), and what
loaded code needs of its runtime (`rtsys`). All of them are in 0.60 to 0.68. Without them kernels
have Numba's own cache.
"""

from __future__ import annotations

import logging
import os
import pickle
from typing import Any

import numba
from numba.np.numpy_support import as_dtype

from fastkq.kernels import machine_code, places, stored
from fastkq.kernels.compile import qualify

try:
    from numba.core.compiler import CompileResult
    from numba.core.runtime import rtsys
    from numba.core.serialize import dumps
except ImportError:  # a later Numba, which has moved them
    CompileResult = rtsys = dumps = None

_log = logging.getLogger("fastkq")

DEFAULT_OPT = 3


class KernelCache:
    """What a Numba dispatcher asks for compiled code, and gives it to."""

    def __init__(self, function: Any) -> None:
        self._name = qualify(function)

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
                found = stored.read(place / name)
                if found is not None:
                    parts = pickle.loads(found.rest)  # noqa: S301 - trusted as the package itself
                    return CompileResult._rebuild(target_context, *_with_code(parts, found.code))
            except Exception as error:  # unpickling and linking raise anything
                stored.warn_of_damage(place, error)
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled for a signature, if that can be kept."""
        place = places.write_place()
        if place is None:
            return
        try:
            if compiled.lifted or compiled.library.has_dynamic_globals:
                raise ValueError("it holds pointers of this process")
            code, parts = _without_code(compiled._reduce())
            kernel = stored.StoredKernel(_head(compiled), code, dumps(parts))
            stored.write(place / self._file_name(signature, compiled.codegen), kernel)
        except Exception as error:  # a full disk, say: the kernel is compiled, and that will do
            _log.debug("kernel %s is not cached on disk: %s", self._name, error)

    def flush(self) -> None:
        """Forget nothing: a kernel that is compiled anew overwrites its file."""

    def _file_name(self, signature: Any, codegen: Any) -> str:
        target, config = machine_code.target(), numba.config
        # Code with bounds checks, say, is other code from the same sources.
        settings = codegen.magic_tuple(), config.BOUNDSCHECK, int(config.OPT)
        if settings != (target, None, DEFAULT_OPT):
            target = (*target, repr(settings))
        return stored.file_name(self._name, tuple(map(_name_type, signature)), target)


def _name_type(kind: Any) -> str:
    """Return the name of a type of Numba's, that of `machine_code.name_types` where it has one."""
    if isinstance(kind, numba.types.Array):
        name = as_dtype(kind.dtype).name
        return machine_code.name_array(name, kind.ndim, kind.layout, kind.mutable)
    return repr(kind)


def _without_code(parts: tuple[Any, ...]) -> tuple[bytes, tuple[Any, ...]]:
    """Return the machine code of what Numba serialized, and the rest."""
    (name, kind, (code, bitcode)), *others = parts
    return code, ((name, kind, bitcode), *others)


def _with_code(parts: tuple[Any, ...], code: memoryview | bytes) -> tuple[Any, ...]:
    (name, kind, bitcode), *others = parts
    return ((name, kind, (bytes(code), bitcode)), *others)


def _head(compiled: Any) -> dict[str, Any] | None:
    """Return what `machine_code` must know; None where a kernel has more than code."""
    environments = compiled._find_referenced_environments()
    if any(each.consts for each in (compiled.environment, *environments)):
        return None
    names = {compiled.target_context.get_env_name(compiled.fndesc)}
    functions = compiled.library._final_module.functions
    needs = {each.name for each in functions if each.is_declaration}
    return {
        "module": compiled.fndesc.modname,
        "name": compiled.fndesc.qualname.split(".")[-1],
        "wrapper": compiled.fndesc.llvm_cpython_wrapper_name,
        "environments": sorted({*names, *(each.env_name for each in environments)}),
        "needs": sorted(name for name in needs if not name.startswith("llvm.")),
        "has_threads": bool(compiled.reload_init),
    }


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
