"""The first run of a command: its kernels are compiled together, and a terminal user is told."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from fastkq.files.formats import GIF


def extras_of(options: Mapping[str, Any], format: str) -> tuple[str, ...]:
    """Return which kernels an image needs beside those of K-means; see `first_run.EXTRAS`.

    Parameters
    ----------
    options : of `quantize`, by name
    format : of the output
    """
    has_score = options.get("min_score") is not None
    is_lossy = options.get("lossy", 0) != 0 or has_score
    dither = options.get("dither", "none")
    wanted = {
        "diffusion": dither in ("diffusion", "adaptive") and not is_lossy,
        "ordered": dither == "ordered" and not is_lossy,
        "masking": bool(options.get("masking")),
        "lossy": is_lossy and format != GIF,
        "lossy-gif": is_lossy and format == GIF,
        "scoring": options["score"] or has_score,
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def share(extras: Sequence[str] = ()) -> None:
    """Have other processes help where kernels must be compiled."""
    from fastkq.install.first_run import share_compilation

    share_compilation(_tell, extras)


def compile_all(n_processes: int) -> None:
    """Compile all kernels, in so many processes at once."""
    from fastkq.install import first_run

    first_run.compile_all(_tell, n_processes)


def prepare_workers(n_images: int, n_workers: int, extras: Sequence[str] = ()) -> None:
    """Compile once what each of the worker processes would compile for itself."""
    if min(n_images, n_workers) > 1:
        from fastkq.install.first_run import prepare_kernels

        prepare_kernels(_tell, extras)
    else:
        share(extras)


def _tell() -> None:
    if sys.stderr.isatty():
        line = "fastkq: compiling kernels, once on this machine; about 15 s ..."
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
