"""Numba's threading layers, each for a process of its own."""

import os
import sys
from pathlib import Path

LAYERS = ["workqueue", "omp", "tbb"]


def environment_of_layer(layer):
    """The environment of a process that uses a layer; None: any."""
    variables = dict(os.environ)
    if layer is not None:
        variables["NUMBA_THREADING_LAYER"] = layer
        # Where pip puts libtbb, and the loader does not look.
        places = [str(Path(sys.prefix) / "lib"), variables.get("LD_LIBRARY_PATH", "")]
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, places))
    return variables


def hangs_with_threads(layer):
    """Whether a process on this machine hangs at its end once threads have called kernels.

    With TBB on one core it does, also by plain kernels of Numba's own.
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return layer == "tbb" and n_cores == 1
