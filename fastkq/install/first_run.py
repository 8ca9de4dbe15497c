"""The first run on a machine, which compiles: on two cores instead of one.

Numba compiles one kernel at a time, under a lock. So while this process compiles the kernels that
touch pixels, another one compiles those of K-means, which take as long, into the cache on disk; and
where images are dithered, a third one compiles that kernel, and this one its tables. What takes
less time than another process does to start is this one's as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastkq import kernels

if TYPE_CHECKING:
    import subprocess

# A command sees all packages that this one is installed with, and this one itself, but nothing that
# lies in the current directory under the name of a standard module: `-P`, and behind all others.
START = "import sys; sys.path.append({root!r})"
CALL = "from {module} import {function}; {function}()"
QUANTIZING, ALL = "quantizing", "all"
# What not all images need, and the functions of `warmup` that compile it.
EXTRAS = {
    "diffusion": "compile_diffusion",
    "ordered": "compile_ordered",
    "masking": "compile_masking",
    "lossy": "compile_lossy",
    "lossy-gif": "compile_lossy_gif",
    "scoring": "compile_scoring",
}
# Functions of `loading`.
LOADING = {
    QUANTIZING: "compile_kmeans_of_commands",
    "kmeans": "compile_kmeans",
    "pixels": "load_pixel_kernels",
}
# All that there is to compile; what several need comes before. Processes take them in turn: two of
# them have as much to do: 10 s each of the first stage, and 31 s of the second.
STAGES = (
    ("kmeans", "pixels", "scoring", "compile_tables"),
    (
        "compile_rare_dithering",
        "lossy-gif",
        "lossy",
        "compile_kmeans_of_points",
        "compile_animations",
        "compile_alpha",
        "diffusion",
        "compile_large_png",
        "ordered",
        "compile_cubes",
        "masking",
        "compile_optimizing",
    ),
)
WITH_TABLES = {"diffusion", "ordered", "lossy"}  # which this process compiles
LONGEST = "lossy"  # to compile, of what a file needs where nothing is said
QUICK = "masking"  # compiled in 0.6 s; a process takes one to begin

_is_told = False  # whether compilation was told of
_is_shared = False  # whether processes were asked for


def share_compilation(notify: Callable[[], None], extras: Sequence[str] = ()) -> None:
    """Have other processes help this one, once it loads kernels that were not compiled here.

    For commands, which own their process and know that `sys.executable` is Python.

    Parameters
    ----------
    notify : called once a process, before it compiles a kernel
    extras : of `EXTRAS`
        What will be needed beside K-means.
    """

    def begin() -> None:
        global _is_shared  # noqa: PLW0603 - of the process
        needed = [what for what in (QUANTIZING, *extras) if not kernels.places.is_prepared(what)]
        if _is_shared or not needed or kernels.places.write_place() is None:
            return
        _is_shared = True
        helpers = {what: _start_helper(what) for what in needed if what != QUICK}
        kernels.events.ending.append(lambda: _finish(helpers, is_quick_needed=QUICK in needed))

    kernels.events.when_compiling(_once(notify))
    kernels.events.beginning.append(begin)


def _once(notify: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls another, unless this process has told of compilation."""

    def tell() -> None:
        global _is_told  # noqa: PLW0603 - of the process
        if not _is_told:
            _is_told = True
            notify()

    return tell


def _finish(helpers: dict[str, subprocess.Popen[bytes]], *, is_quick_needed: bool) -> None:
    """Wait for the processes that compile; what they did not compile, this one will."""
    if WITH_TABLES & helpers.keys() or is_quick_needed:
        from fastkq.install import warmup

        if WITH_TABLES & helpers.keys():
            warmup.compile_tables()
        if LONGEST in helpers:  # which this process waits for
            warmup.compile_large_png()
        if is_quick_needed:
            warmup.compile_masking()
            kernels.places.set_prepared(QUICK)
    for what, helper in helpers.items():
        if helper.wait() == 0:
            kernels.places.set_prepared(what)


def prepare_kernels(tell: Callable[[], None], extras: Sequence[str] = ()) -> None:
    """Compile, before worker processes start, what each of them would compile for itself.

    Where that was done before, this takes a millisecond and loads no Numba.

    Parameters
    ----------
    tell : called once, before the first kernel is compiled, or where each process must compile
    extras : of `EXTRAS`
        What will be needed beside K-means.
    """
    needed = [QUANTIZING, *extras]
    if all(map(kernels.places.is_prepared, needed)):
        return
    if kernels.places.write_place() is None:
        tell()
        return
    from fastkq.install import warmup
    from fastkq.loading import load_kernels

    share_compilation(tell, extras)
    load_kernels()
    for extra in extras:
        getattr(warmup, EXTRAS[extra])()
    for what in needed:
        kernels.places.set_prepared(what)


def compile_all(notify: Callable[[], None], n_processes: int) -> None:
    """Compile all kernels, in so many processes at once, and keep them on disk.

    Where that was done before, or nothing can be kept, this does nothing.

    Parameters
    ----------
    notify : called once a process, before a kernel is compiled
    n_processes : int
    """
    tell = _once(notify)
    kernels.events.when_compiling(tell)  # those that this process will still miss
    if kernels.places.is_prepared(ALL) or kernels.places.write_place() is None:
        return
    tell()
    for stage in STAGES:
        # A process for each would take a second more, to load Numba and its compiler.
        n_helpers = min(n_processes, len(stage))
        helpers = [_start_helper(*stage[first::n_helpers]) for first in range(n_helpers)]
        for helper in helpers:
            helper.wait()
    for what in (QUANTIZING, *EXTRAS, ALL):
        kernels.places.set_prepared(what)


def _start_helper(*names: str) -> subprocess.Popen[bytes]:
    """Begin a process that compiles, one after the other, what has these names."""
    import subprocess

    root = str(Path(__file__).parents[2])
    code = [START.format(root=root), *map(_call, names)]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603 - this Python
        [sys.executable, "-P", "-c", "\n".join(code)],
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
    )


def _call(name: str) -> str:
    """Return the Python code that calls what compiles something."""
    if name in LOADING:
        return CALL.format(module="fastkq.loading", function=LOADING[name])
    return CALL.format(module="fastkq.install.warmup", function=EXTRAS.get(name, name))
