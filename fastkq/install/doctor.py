"""What a bug report needs to know of an installation, and whether it works."""

from __future__ import annotations

import platform
from importlib.metadata import version

import numpy as np

import fastkq
from fastkq import kernels
from fastkq.batch.pool import n_cores

LIBRARIES = ("numpy", "numba", "llvmlite", "pillow", "imageio", "deflate")
VECTOR_BITS = {"avx512f": 512, "avx2": 256, "avx": 256, "neon": 128, "sse2": 128}
NO_CACHE = "none: every process compiles; let NUMBA_CACHE_DIR name a writable directory"
# Kernels of plain Numba hang there as well.
TBB_HANGS = (
    "with TBB on one core, a process that calls kernels from threads hangs at its end; "
    "NUMBA_THREADING_LAYER=workqueue avoids that"
)
# Four colors, a row each, that K-means must find again.
CHECK_COLORS = np.array([[10, 20, 30], [60, 70, 200], [90, 220, 40], [250, 130, 0]], np.uint8)
CHECK_NOISE = 2


def diagnose() -> dict[str, str | int | bool]:
    """Return the facts of this installation, one a name, after a first call of the kernels.

    Returns
    -------
    dict
        Versions, the threading layer in use, cores and threads, the directory of the compiled
        kernels and whether it can be written, the processor that they are compiled for and the
        width of its vectors in bits, "warnings": "none", or what may go wrong, and "self-check":
        "ok", or what is wrong.

    Examples
    --------
    >>> from fastkq.install.doctor import diagnose
    >>> diagnose()["self-check"]
    'ok'
    """
    check = check_result()
    directory = kernels.places.write_place()
    processor, features = kernels.with_numba.target_cpu()
    vectors = [name for name in VECTOR_BITS if name in features]
    return {
        "fastkq": fastkq.__version__,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "platform": platform.platform(),
        "cores": n_cores(),
        "threads": kernels.threads.n_threads(),
        "threading layer": kernels.threads.threading_layer(),
        "cache directory": NO_CACHE if directory is None else str(directory),
        "cache writable": directory is not None,
        "processor": processor,
        "SIMD": " ".join(vectors) or "unknown",
        "SIMD bits": max((VECTOR_BITS[name] for name in vectors), default=0),
        "warnings": _find_warnings(),
        "self-check": check,
    }


def check_result() -> str:
    """Quantize a small picture whose answer is known; return "ok" or what is wrong."""
    noise = np.random.default_rng(0).integers(-CHECK_NOISE, CHECK_NOISE + 1, (4, 64, 3))
    image = np.clip(CHECK_COLORS[:, None] + noise, 0, 255).astype(np.uint8)
    result = fastkq.quantize(image, len(CHECK_COLORS))
    error = np.abs(result.to_array().astype(int) - CHECK_COLORS[:, None]).max()
    if error > CHECK_NOISE:
        return f"failed: a color is off by {error}, {CHECK_NOISE} is allowed"
    return "ok"


def _find_warnings() -> str:
    if kernels.threads.threading_layer() == "tbb" and n_cores() == 1:
        return TBB_HANGS
    return "none"
