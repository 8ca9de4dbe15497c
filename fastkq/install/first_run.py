"""The first run on a machine, which compiles: on two cores instead of one.

Numba compiles one kernel at a time, under a lock. So while this process compiles the kernels that
touch pixels, another one compiles those of K-means, which take as long (6 s each), into the cache
on disk; and where images are dithered, a third one compiles those kernels (16 s).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from fastkq import kernels

# A command sees all packages that this one is installed with, and this one itself, but nothing that
# lies in the current directory under the name of a standard module: `-P`, and behind all others.
START = "import sys; sys.path.append({root!r}); from {module} import {function}; {function}()"
KMEANS = ("fastkq.pipeline", "compile_kmeans")
DITHERING = ("fastkq.install.warmup", "compile_dithering")
SCORING = ("fastkq.install.warmup", "compile_scoring")

_is_shared = False  # whether a compilation has begun, and was told of


def share_compilation(
    notify: Callable[[], None], *, dither: bool = False, score: bool = False
) -> None:
    """If this process comes to compile a kernel, call `notify` and have other ones help it.

    For commands, which own their process and know that `sys.executable` is Python.

    Parameters
    ----------
    notify : called once a process, however often this function is
    dither : bool
        Whether the kernels of dithering will be needed.
    score : bool
        Whether those of scores will be.
    """

    def start() -> None:
        global _is_shared  # noqa: PLW0603 - of the process
        if _is_shared:
            return
        _is_shared = True
        notify()
        if kernels.places.write_place() is not None:
            for function in (KMEANS, *[DITHERING] * dither, *[SCORING] * score):
                _start_helper(*function)

    kernels.events.when_compiling(start)


def prepare_kernels(tell: Callable[[], None], *, dither: bool, score: bool = False) -> None:
    """Compile, before worker processes start, what each of them would compile for itself.

    Where that was done before, this takes a millisecond and loads no Numba.

    Parameters
    ----------
    tell : called once, before the first kernel is compiled, or where each process must compile
    dither : bool
        Whether the kernels of dithering will be needed.
    score : bool
        Whether those of scores will be.
    """
    needed = ["dithering" if dither else "quantizing", *["scoring"] * score]
    if kernels.places.write_place() is None:
        tell()
        return
    if all(map(kernels.places.is_prepared, needed)):
        return
    from fastkq.install.warmup import compile_dithering, compile_scoring
    from fastkq.pipeline import load_kernels

    share_compilation(tell, dither=dither, score=score)
    load_kernels()
    if dither:
        compile_dithering()
    if score:
        compile_scoring()
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
