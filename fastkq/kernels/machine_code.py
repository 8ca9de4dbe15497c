"""Compiled kernels called without Numba, which takes 0.2 s of a process to load.

What Numba compiles is machine code with a wrapper that takes Python's arguments. LLVM links it
(llvmlite), and three of Numba's extension modules give what it calls: memory for arrays, errors,
Numba's threads. None of them needs the Python part of Numba. So a process whose kernels are all on
disk begins sooner; the first that is not there, and a program that uses Numba itself, have Numba as
ever.

It is done on Linux on x86-64 only, where it is tested, and where no setting of Numba's stands in
the way. What is taken from Numba: `_dynfunc.make_function` and `Environment`, the addresses in
`c_helpers` of `_helperlib` and `_nrt_python`, and those of `omppool`. All of them are the same in
0.60 to 0.68.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import importlib.machinery
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fastkq.kernels import places, stored

TYPE_FLAGS = 0x403  # of an array's flags: C order, Fortran's order, writeable
# Settings of Numba that do not decide of what is compiled.
HARMLESS = {"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS"}
# Functions of C's library that Numba has called by these names, and with "f" for 32-bit numbers.
MATH = (
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "cos", "cosh", "exp"),
    *("expm1", "fabs", "floor", "fmod", "log", "log10", "log1p", "pow", "round", "sin", "sinh"),
    *("sqrt", "tan", "tanh", "trunc"),
)
SCALARS: dict[type, str] = {
    int: "int64",
    float: "float64",
    bool: "bool",
    np.bool_: "bool",
    **{
        kind: np.dtype(kind).name
        for kind in (np.uint8, np.uint16, np.uint32, np.uint64, np.int32, np.int64)
    },
    np.float32: "float32",
    np.float64: "float64",
}

_log = logging.getLogger("fastkq")

lock = threading.RLock()
_linked: dict[str, Callable[..., Any] | None] = {}  # by the names of files


def name_types(arguments: Iterable[Any]) -> tuple[str, ...] | None:
    """Return the types that Numba gives arguments; None where one is not for `load`."""
    names = []
    for argument in arguments:
        kind = type(argument)
        name = _name_array(argument) if kind is np.ndarray else SCALARS.get(kind)
        if name is None:
            return None
        names.append(name)
    return tuple(names)


def _name_array(array: np.ndarray) -> str | None:
    if not array.dtype.isnative or array.dtype.kind not in "biuf":
        return None
    flags = array.flags
    order = "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
    return name_array(array.dtype.name, array.ndim, order, flags.writeable)


def name_array(dtype: str, ndim: int, order: str, is_writeable: bool) -> str:
    """Return the name of a type of arrays."""
    return f"{dtype}[{ndim}{order}]{'' if is_writeable else ' read-only'}"


@functools.cache
def is_possible() -> bool:
    """Return whether kernels can be called so on this machine and with these settings."""
    settings = {name for name in os.environ if name.startswith("NUMBA_")} - HARMLESS
    return (
        sys.platform == "linux"
        and os.uname().machine == "x86_64"
        and sys.implementation.name == "cpython"
        and not settings
        and os.environ.get("NUMBA_NUM_THREADS", "1").isdecimal()
        and not os.path.exists(".numba_config.yaml")
        and stored.numba_folder() is not None
    )


@functools.cache
def target() -> tuple[str, ...]:
    """Return the processor that code is compiled for."""
    import llvmlite.binding as llvm

    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM knows none of this processor; so does Numba
        features = ""
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features


def load(kernel: str, arguments: Iterable[Any]) -> Callable[..., Any] | None:
    """Return what was compiled for arguments like these, if it can be had without Numba.

    Parameters
    ----------
    kernel : str, "file.function"
    arguments
    """
    types = name_types(arguments) if is_possible() else None
    if types is None:
        return None
    name = stored.file_name(kernel, types, target())
    with lock:
        if name not in _linked and "numba" not in sys.modules:
            _linked[name] = _read_and_link(kernel, name)
        return _linked.get(name)


def _read_and_link(kernel: str, name: str) -> Callable[..., Any] | None:
    for place in places.read_places():
        try:
            found = stored.read(place / name)
        except Exception as error:  # from cut and changed files: any
            stored.warn_of_damage(place, error)
            continue
        if found is None or found.header is None:
            continue
        try:
            return _linker().link(found.header, bytes(found.code))
        except Exception as error:  # linking raises anything; Numba will load it
            _log.debug("kernel %s is not called directly: %s", kernel, error)
    return None


class _Linker:
    """LLVM's linker, and Numba's extension modules."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._functions = load_extension("_dynfunc")
        for name, address in _symbols().items():
            llvm.add_symbol(name, address)
        triple, processor, features = target()
        machine = llvm.Target.from_triple(triple).create_target_machine(
            cpu=processor, features=features, reloc="static", codemodel="jitdefault", jit=True
        )
        empty = llvm.parse_assembly(f'target triple = "{triple}"')
        self._engine = llvm.create_mcjit_compiler(empty, machine)
        self._llvm = llvm

    def link(self, header: dict[str, Any], code: bytes) -> Callable[..., Any]:
        """Return a kernel that can be called."""
        if header["has_threads"]:
            threads()
        missing = [name for name in header["needs"] if not self._llvm.address_of_symbol(name)]
        if missing:  # without them, LLVM would end the process
            raise ImportError(f"there is no {', '.join(missing)}")
        self._engine.add_object_file(self._llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        # A dictionary that nothing is looked up in, with none of the constants that a kernel may
        # have kept: such kernels have no header.
        environment = self._functions.Environment({})
        for name in header["environments"]:
            address = self._engine.get_global_value_address(name)
            ctypes.c_void_p.from_address(address).value = id(environment)
        run: Callable[..., Any] = self._functions.make_function(
            ModuleType(header["module"]),
            header["name"],
            "",  # its documentation
            self._engine.get_function_address(header["wrapper"]),
            environment,
            (self._engine,),  # what must live as long
        )
        return run


@functools.cache
def _linker() -> _Linker:
    return _Linker()


def load_extension(name: str) -> ModuleType:
    """Load an extension module of Numba's, "_dynfunc" say, and not the packages it is in."""
    stem = (stored.numba_folder() or Path()).joinpath(*name.split("."))
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = stem.with_name(stem.name + suffix)
        loader = importlib.machinery.ExtensionFileLoader(f"numba.{name}", str(path))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        if spec is not None and path.exists():
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
    raise ImportError(f"Numba has no extension module {name}")


def _symbols() -> dict[str, int]:
    """Return the addresses of what compiled code calls, by name, as Numba tells them to LLVM."""
    helpers = load_extension("_helperlib").c_helpers
    runtime = load_extension("core.runtime._nrt_python").c_helpers
    types: list[type] = [each for each in vars(builtins).values() if isinstance(each, type)]
    errors = [each for each in types if issubclass(each, BaseException)]
    return {
        "_Py_NoneStruct": id(None),
        **{f"PyExc_{each.__name__}": id(each) for each in errors},
        **{f"numba_{name}": address for name, address in helpers.items()},
        **{each: helpers[each] for name in MATH for each in (name, f"{name}f")},
        **{
            name if name.startswith("_") else f"NRT_{name}": address
            for name, address in runtime.items()
        },
    }


class Threads:
    """Numba's threads, of GNU OpenMP: as many as Numba would start."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        pool = load_extension("np.ufunc.omppool")
        for name in (
            "do_scheduling_signed",
            "do_scheduling_unsigned",
            "allocate_sched",
            "deallocate_sched",
            "get_num_threads",
            "set_num_threads",
            "get_thread_id",
            "set_parallel_chunksize",
            "get_parallel_chunksize",
            "get_sched_size",
        ):
            llvm.add_symbol(name, getattr(pool, name))
        llvm.add_symbol("numba_parallel_for", pool.parallel_for)
        takes_one = ctypes.CFUNCTYPE(None, ctypes.c_int)
        self.set_number = takes_one(pool.set_num_threads)
        self.get_number = ctypes.CFUNCTYPE(ctypes.c_int)(pool.get_num_threads)
        takes_one(pool.launch_threads)(most_threads())
        self.set_number(most_threads())


@functools.cache
def threads() -> Threads:
    """Return Numba's threads, started."""
    return Threads()


def started_threads() -> Threads | None:
    """Return Numba's threads if this process has them from here."""
    return threads() if threads.cache_info().currsize else None


def most_threads() -> int:
    """Return how many threads Numba starts."""
    named = os.environ.get("NUMBA_NUM_THREADS")
    if named and named.isdecimal():
        return int(named)
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
