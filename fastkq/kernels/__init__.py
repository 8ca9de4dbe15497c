"""Every compiled function; the only place that knows Numba.

A module here is loaded when it is first named (`kernels.dense.assign`), and Numba where a kernel
must be compiled. Nothing here depends on other files of fastkq: `cache` takes compiled code for
fresh while the files of this folder are the same.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from fastkq.kernels import events, threads  # at once, and without Numba: they watch

if TYPE_CHECKING:
    from fastkq.kernels import (
        alpha_points,
        bisect,
        cache,
        candidates,
        cells,
        codes,
        compile,
        contrast,
        cubes,
        dense,
        dither,
        entries,
        entry_lists,
        general,
        histogram,
        inflate,
        lossy,
        lossy_gif,
        lossy_ways,
        lossy_weights,
        lzw,
        lzw_frames,
        lzw_lossy,
        machine_code,
        mixture,
        nearest,
        oklab,
        ordered,
        places,
        png,
        remap,
        ssimulacra2,
        steps,
        stored,
        team,
        translucent,
        unite,
        with_numba,
        wu,
    )

__all__ = [
    "alpha_points",
    "bisect",
    "cache",
    "candidates",
    "cells",
    "codes",
    "compile",
    "contrast",
    "cubes",
    "dense",
    "dither",
    "entries",
    "entry_lists",
    "events",
    "general",
    "histogram",
    "inflate",
    "lossy",
    "lossy_gif",
    "lossy_ways",
    "lossy_weights",
    "lzw",
    "lzw_frames",
    "lzw_lossy",
    "machine_code",
    "mixture",
    "nearest",
    "oklab",
    "ordered",
    "places",
    "png",
    "remap",
    "ssimulacra2",
    "steps",
    "stored",
    "team",
    "threads",
    "translucent",
    "unite",
    "with_numba",
    "wu",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
