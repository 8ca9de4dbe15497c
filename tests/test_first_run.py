"""The first run on a machine: kernels are compiled once, and nothing of the directory is run."""

import json
import os
import subprocess
import sys
import time

import pytest

from fastkq import kernels, loading
from fastkq.install import doctor, first_run, warmup

LISTEN = """
import json, sys, time
from numba.core import event
compiled = []

class Listener(event.Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
"""
PREPARE = """
from fastkq.install.first_run import prepare_kernels
from fastkq.kernels import threads
threads.leave_numba_out()  # as commands do
told = []
for _ in range(2):
    prepare_kernels(lambda: told.append(len(compiled)), EXTRAS)
import fastkq, numpy as np
before = len(compiled)
image = np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8)
for method in METHODS:
    fastkq.quantize(image, 16, dither=method)
for format in FORMATS:
    fastkq.compress(image, format=format)
print(json.dumps([told, compiled[:before], compiled[before:]]))
"""
AGAIN = """
import sys
from fastkq.install.first_run import prepare_kernels
prepare_kernels(lambda: print("told"), EXTRAS)
print("numba" in sys.modules)
"""
STANDARD_MODULES = ("random", "pickle", "socket", "types", "inspect", "json", "numba")


def run_python(code, cwd, cache):
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=cwd,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )


# What is prepared beside K-means, and then done: dithered by these methods, and written.
PREPARED = {
    "quantizing": ([], ["none"], []),
    "dithering": (["diffusion", "ordered"], ["diffusion", "ordered", "adaptive"], []),
    "files": (["masking", "lossy", "lossy-gif"], [], ["png", "webp", "gif"]),
}


@pytest.fixture(scope="module", params=PREPARED)
def prepared(request, tmp_path_factory):
    """What two calls of `prepare_kernels` did with an empty cache, in a poisoned directory."""
    extras, methods, formats = PREPARED[request.param]
    start = f"EXTRAS, METHODS, FORMATS = {extras}, {methods}, {formats}\n"
    folder = tmp_path_factory.mktemp("poisoned")
    for name in STANDARD_MODULES:
        (folder / f"{name}.py").write_text(f"open('ran-{name}', 'w')\n")
    cache = folder / "cache"
    run = run_python(start + LISTEN + PREPARE, folder, cache)
    return folder, start, json.loads(run.stdout)


@pytest.mark.slow
def test_kernels_are_prepared_by_processes_that_share(prepared):
    """One tells, before the first kernel; the others compile what is slow; nothing is left."""
    _, _, (told, compiled, later) = prepared
    assert told in ([0], [1])
    assert "count_colors" in compiled
    assert "assign_and_accumulate" not in compiled
    assert later == []


@pytest.mark.slow
def test_nothing_of_the_current_directory_is_run(prepared):
    """A helper was started by `python -c`, which looks for modules there first."""
    folder, _, _ = prepared
    assert sorted(folder.glob("ran-*")) == []


@pytest.mark.slow
def test_what_is_prepared_costs_nothing(prepared):
    folder, start, _ = prepared
    run = run_python(start + AGAIN, folder, folder / "cache")
    assert run.stdout == "False\n"


def test_preparing_takes_milliseconds(monkeypatch, tmp_path):
    monkeypatch.setattr(kernels.places, "write_place", lambda: tmp_path)
    monkeypatch.setattr(kernels.places, "read_places", lambda: [tmp_path])
    kernels.places.set_prepared("quantizing")
    assert kernels.places.is_prepared("quantizing")
    assert not kernels.places.is_prepared("diffusion")
    start = time.perf_counter()
    first_run.prepare_kernels(pytest.fail)
    assert time.perf_counter() - start < 0.05
    # An edit of the kernels makes it new.
    monkeypatch.setattr(kernels.places, "source_digest", lambda: b"other")
    assert not kernels.places.is_prepared("quantizing")


def test_without_a_cache_directory_it_is_told(monkeypatch):
    """Each worker compiles for itself there: to compile here would only cost time."""
    monkeypatch.setattr(kernels.places, "write_place", lambda: None)
    monkeypatch.setattr(kernels.places, "read_places", list)
    told = []
    first_run.prepare_kernels(lambda: told.append(True), ["diffusion"])
    assert told == [True]


def test_all_is_compiled_once_by_processes_in_stages(monkeypatch, tmp_path):
    monkeypatch.setattr(kernels.places, "write_place", lambda: tmp_path)
    monkeypatch.setattr(kernels.places, "read_places", lambda: [tmp_path])
    monkeypatch.setattr(first_run, "_is_told", False)
    started, told = [], []

    class Helper:
        def wait(self):
            return 0

    def start(*names):
        started.extend(names)
        return Helper()

    monkeypatch.setattr(first_run, "_start_helper", start)
    for _ in range(2):
        first_run.compile_all(lambda: told.append(True), 2)
    assert told == [True]
    first, second = first_run.STAGES
    assert set(started[: len(first)]) == set(first)
    assert set(started[len(first) :]) == set(second)
    assert kernels.places.is_prepared("quantizing")
    assert kernels.places.is_prepared("lossy")


def test_all_is_what_a_warm_up_compiles():
    """Else it would be compiled afterwards, by one process alone."""
    named = {first_run.EXTRAS.get(what, what) for stage in first_run.STAGES for what in stage}
    compiling = {name for name in vars(warmup) if name.startswith("compile_")}
    assert compiling == named - set(first_run.LOADING)
    assert compiling == {name for name in warmup.warm_up.__code__.co_names if name in compiling}


@pytest.mark.parametrize("what", [what for stage in first_run.STAGES for what in stage])
def test_each_name_is_of_a_function(what):
    module = loading if what in first_run.LOADING else warmup
    name = (first_run.LOADING | first_run.EXTRAS).get(what, what)
    assert callable(getattr(module, name))


@pytest.mark.parametrize("layer", ["tbb", "omp"])
@pytest.mark.parametrize("n_cores", [1, 2])
def test_doctor_tells_of_a_layer_that_hangs(monkeypatch, layer, n_cores):
    monkeypatch.setattr(kernels.threads, "threading_layer", lambda: layer)
    monkeypatch.setattr(doctor, "n_cores", lambda: n_cores)
    hangs = (layer, n_cores) == ("tbb", 1)
    warnings = doctor.diagnose()["warnings"]
    assert warnings == (doctor.TBB_HANGS if hangs else "none")
