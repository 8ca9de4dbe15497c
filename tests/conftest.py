"""Settings that must stand before Numba is loaded."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# Thread-count tests want up to 4 threads on any machine.
os.environ.setdefault("NUMBA_NUM_THREADS", "4")
# Beside one another, the workers of pytest-xdist must not have threads that spin while they wait:
# two of them took longer than one process then (134 s of 119 s), and 79 s without.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Tests start hundreds of processes. Where Python is told to keep no bytecode, as in containers,
# each of them would compile all modules of the package, and each worker those of the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest
from hypothesis import settings

# Examples are fixed, so that a run that passed passes again; the first ones compile kernels.
settings.register_profile("fastkq", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("fastkq")

# A set that touches every part of the package in a minute, for installations that the whole suite
# is not run on: the wheel, and the lowest versions of what the package needs. Of each test in these
# files it has the first case, and the first of every format, mode and type of array.
SMOKE = {
    "test_alpha",
    "test_animations",
    "test_blocks",  # Zarr and Dask
    "test_command",
    "test_dither_alpha",
    "test_estimator",
    "test_fast",
    "test_formats",
    "test_gif_frames",
    "test_histogram",
    "test_image_io",
    "test_kernels",
    "test_kmeans",
    "test_lossy",
    "test_masking",
    "test_one_way",
    "test_palette_files",
    "test_png",
    "test_quantize",
    "test_remote",
    "test_report_page",
    "test_tar",  # in worker processes; and Pythons differ in what they say of damaged files
    "test_weights",
}
SMOKE_KINDS = {"png", "webp", "gif", "L", "LA", "RGB", "RGBA"}
MARKERS = (
    "slow: minutes of compilation or of plain Python; `.ci/run` runs them, once",
    "smoke: the set for other installations, which conftest.py names",
)
# Test runs of at least so many tests need nearly every kernel.
WHOLE_SUITE = 1000

IMAGES = Path(__file__).parent / "images"
SHARED_PHOTOS = Path(__file__).parents[2] / "shared" / "photos"


# A worker has up to 4 threads and takes half a gigabyte: on a server, not one for each core.
MOST_WORKERS = 8


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Return what `-n auto` means: a worker a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_WORKERS)


def pytest_configure(config):
    sys.dont_write_bytecode = False  # as said above
    for marker in MARKERS:  # here, for tests that are copied without pyproject.toml
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(items):
    seen = set()
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        kinds = tuple(str(value) for value in parameters if is_smoke_kind(value))
        case = item.nodeid.split("[")[0], kinds
        if item.path.stem in SMOKE and case not in seen:
            seen.add(case)
            item.add_marker(pytest.mark.smoke)


def is_smoke_kind(value):
    """Whether the first test with this parameter is one of the smoke tests."""
    return isinstance(value, type) or (isinstance(value, str) and value in SMOKE_KINDS)


def pytest_collection_finish(session):
    # Tests and libraries are there to stay: no collection of garbage need look at them again.
    gc.freeze()
    # The workers of pytest-xdist leave it to the process that started them.
    if not session.testsfailed and not hasattr(session.config, "workerinput"):
        prepare_whole_run(len(session.items))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids):
    """Prepare as one process does; no worker runs a test before all have told theirs."""
    prepare_whole_run(len(ids))


def prepare_whole_run(n_tests):
    """Compile the kernels before a whole run, on two cores: tests that start processes find them.

    Otherwise each test compiles what it is the first to need, one kernel after the other.
    """
    modes = ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK")  # these runs compile other code, or none
    if n_tests >= WHOLE_SUITE and not any(map(os.environ.get, modes)):
        from fastkq.install.first_run import compile_all

        compile_all(lambda: None, n_processes=2)


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace):
    doctest_namespace["np"] = np


@pytest.fixture
def images():
    """The folder of the committed pictures."""
    return IMAGES


@pytest.fixture
def shared_photos():
    """The folder of the large picture collection, which is not part of the repository."""
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("the picture collection ../shared/photos is not here")
    return SHARED_PHOTOS
