"""The first run on a machine, which compiles: on two cores instead of one.

Numba compiles one kernel at a time, under a lock. So while this process compiles the kernels that
touch pixels, another one compiles those of K-means, which take as long (6 s each), into the cache
on disk; and where images are dithered, a third one compiles those kernels (16 s).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fastkq import kernels

# A command sees all packages that this one is installed with, and this one itself, but nothing that
# lies in the current directory under the name of a standard module: `-P`, and behind all others.
START = "import sys; sys.path.append({root!r}); from {module} import {function}; {function}()"
KMEANS = ("fastkq.loading", "compile_kmeans")
# What not all images need, and the functions of `warmup` that compile it.
EXTRAS = {
    "dithering": "compile_dithering",
    "lossy": "compile_lossy",
    "scoring": "compile_scoring",
}

_is_shared = False  # whether a compilation has begun, and was told of


def share_compilation(notify: Callable[[], None], extras: Sequence[str] = ()) -> None:
    """If this process comes to compile a kernel, call `notify` and have other ones help it.

    For commands, which own their process and know that `sys.executable` is Python.

    Parameters
    ----------
    notify : called once a process, however often this function is
    extras : of `EXTRAS`
        What will be needed beside K-means.
    """

    def start() -> None:
        global _is_shared  # noqa: PLW0603 - of the process
        if _is_shared:
            return
        _is_shared = True
        notify()
        if kernels.places.write_place() is not None:
            _start_helper(*KMEANS)
            for extra in extras:
                _start_helper("fastkq.install.warmup", EXTRAS[extra])

    kernels.events.when_compiling(start)


def prepare_kernels(tell: Callable[[], None], extras: Sequence[str] = ()) -> None:
    """Compile, before worker processes start, what each of them would compile for itself.

    Where that was done before, this takes a millisecond and loads no Numba.

    Parameters
    ----------
    tell : called once, before the first kernel is compiled, or where each process must compile
    extras : of `EXTRAS`
        What will be needed beside K-means.
    """
    needed = ["quantizing", *extras]
    if kernels.places.write_place() is None:
        tell()
        return
    if all(map(kernels.places.is_prepared, needed)):
        return
    from fastkq.install import warmup
    from fastkq.loading import load_kernels

    share_compilation(tell, extras)
    load_kernels()
    for extra in extras:
        getattr(warmup, EXTRAS[extra])()
    for what in needed:
        kernels.places.set_prepared(what)


def _start_helper(module: str, function: str) -> None:
    import subprocess

    root = str(Path(__file__).parents[2])
    code = START.format(root=root, module=module, function=function)
    nowhere = subprocess.DEVNULL
    kernels.events.helpers.append(
        subprocess.Popen(  # noqa: S603 - this Python
            [sys.executable, "-P", "-c", code], stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
    )
