"""Every compiled function; the only place that knows Numba.

A module here is loaded when it is first named (`kernels.dense.assign`), so that importing fastkq
loads no Numba. Functions that call one another share a file: Numba's cache does not notice a change
in a helper of another file.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from fastkq.kernels import events, threads  # at once, and without Numba: they watch

if TYPE_CHECKING:
    from fastkq.kernels import (
        cells,
        compile,
        contrast,
        dense,
        dither,
        general,
        histogram,
        mixture,
        nearest,
        ordered,
        png,
        remap,
        steps,
        wu,
    )

__all__ = [
    "cells",
    "compile",
    "contrast",
    "dense",
    "dither",
    "events",
    "general",
    "histogram",
    "mixture",
    "nearest",
    "ordered",
    "png",
    "remap",
    "steps",
    "threads",
    "wu",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
