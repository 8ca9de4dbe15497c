"""Kernels that are called without Numba: the same results, and Numba where it is needed."""

import itertools
import logging
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from fastkq.kernels import cache, machine_code, stored

needs_direct_calls = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64",
    reason="kernels are called without Numba on Linux on x86-64 alone",
)

DIGEST = """
import hashlib, sys
import numpy as np
import fastkq

# Dithering compares in Oklab, whatever space the palette was found in.
WAYS = [("none", "srgb"), ("none", "oklab"), ("diffusion", "srgb"), ("ordered", "oklab")]
WAYS.append(("adaptive", "srgb"))

def digest():
    found = hashlib.sha256()
    noise = np.random.default_rng(0).integers(0, 256, (257, 263, 4), dtype=np.uint8)
    noise[:80, ..., 3], noise[180:, ..., 3] = 0, 255
    smooth = np.add.outer(np.arange(257) // 3, np.arange(263) // 3)[..., None] * [1, 1, 2]
    for image in (noise, noise[..., :3].copy(), smooth.astype(np.uint8), noise[..., 0].copy()):
        for dither, space in WAYS:
            result = fastkq.quantize(image, 20, dither=dither, color_space=space, max_iter=3)
            found.update(result.labels.tobytes() + result.palette.tobytes())
    file = fastkq.compress(smooth.astype(np.uint8), n_colors=20, lossy=20, format="png")
    found.update(file)
    found.update(repr(fastkq.ssimulacra2(smooth.astype(np.uint8), file)).encode())
    return found.hexdigest()

ramp = (np.zeros((400, 700, 3), int) + np.arange(700)[:, None] % 251).astype(np.uint8)
"""


def run(code, **environment):
    """Run a program in a process where no setting of Numba's stands in the way; return its lines.

    The tests' own processes have Numba loaded, so that kernels are called through it there.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NUMBA_") or name in machine_code.HARMLESS
    }
    process = subprocess.run(
        [sys.executable, "-c", DIGEST + code],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split("\n")[:-1]


@pytest.fixture(scope="module")
def expected():
    """What a process has that calls every kernel through Numba, and leaves both forms on disk."""
    code = """
import numba
from fastkq.kernels import threads
for always in (True, False):
    with threads.always(always):
        print(digest())
"""
    first, second = run(code, NUMBA_NUM_THREADS="2")
    assert first == second
    return first


@needs_direct_calls
@pytest.mark.parametrize(
    ("n_threads", "always"), [("1", None), ("2", False), ("2", True), ("3", True), ("3", None)]
)
def test_the_results_are_those_with_numba_which_is_not_loaded(expected, n_threads, always):
    code = f"""
from fastkq.kernels import threads
threads._always = {always}
print(digest())
print("numba" in sys.modules, threads.n_threads())
"""
    assert run(code, NUMBA_NUM_THREADS=n_threads) == [expected, f"False {n_threads}"]


@needs_direct_calls
@pytest.mark.parametrize("n_limit", [1, 2])
def test_numba_may_be_loaded_afterwards(expected, n_limit):
    """Its threads are then those that were started before; what it compiles runs on them."""
    code = f"""
from fastkq.kernels import machine_code, threads
with threads.always(True):
    fastkq.quantize(ramp, 9)
assert machine_code.started_threads().get_number() == 3
assert "numba" not in sys.modules
import numba
numba.set_num_threads({n_limit})

@numba.njit(parallel=True)
def fill(array):
    for i in numba.prange(len(array)):
        array[i] = numba.get_thread_id() < {n_limit}

array = np.zeros(100_000, np.uint8)
fill(array)
assert array.all()
with threads.always(True):
    print(digest())
print(threads.n_threads(), numba.get_num_threads(), numba.threading_layer())
"""
    assert run(code, NUMBA_NUM_THREADS="3") == [expected, f"{n_limit} {n_limit} omp"]


@needs_direct_calls
@pytest.mark.usefixtures("expected")
def test_a_limit_of_threads_holds_for_those_of_numba_and_ends():
    code = """
from fastkq.kernels import machine_code, threads
seen = []
with threads.always(True):
    fastkq.quantize(ramp, 9)
    own = machine_code.started_threads()
    real = own.set_number
    own.set_number = lambda n: (seen.append(n), real(n))
    with threads.at_most(2):
        fastkq.quantize(ramp, 9)
print(threads.n_threads(), own.get_number(), sorted(set(seen)))
"""
    assert run(code, NUMBA_NUM_THREADS="3") == ["3 3 [2, 3]"]


@needs_direct_calls
@pytest.mark.parametrize(
    ("setting", "value"), [("NUMBA_THREADING_LAYER", "workqueue"), ("NUMBA_FULL_TRACEBACKS", "1")]
)
def test_a_setting_of_numba_has_numba_called(setting, value):
    code = """
fastkq.quantize(ramp[:2], 9)
print("numba" in sys.modules)
"""
    assert run(code, **{setting: value}) == ["True"]


@needs_direct_calls
def test_a_file_with_settings_of_numba_has_numba_called(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("NUMBA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    assert machine_code.is_possible.__wrapped__()
    (tmp_path / ".numba_config.yaml").write_text("{}")
    assert not machine_code.is_possible.__wrapped__()


def arguments():
    """One argument of each kind that has a name."""
    for dtype in "?bBhHiIqQfd":
        yield np.zeros(3, dtype)
    for order in "CF":
        yield np.zeros((3, 4), np.uint8, order)
        yield np.zeros((1, 4), np.uint8, order)
        yield np.zeros((0, 4), np.uint8, order)
    yield np.zeros((3, 4))[:, ::2]
    yield np.zeros(8)[::2]
    yield np.zeros((2, 3, 4), np.float32)
    yield np.array(7)
    yield np.frombuffer(bytes(8), np.uint32)
    yield np.zeros(9, np.uint8)[1:].view(np.uint32)
    fixed = np.zeros(9, np.uint8)[1:].view(np.uint32)
    fixed.flags.writeable = False
    yield fixed
    yield from (1, -(1 << 40), 0.5, True, np.True_, np.float32(1), np.float64(1))
    yield from (np.uint8(1), np.uint16(1), np.uint32(1), np.uint64(1), np.int32(1), np.int64(1))


@pytest.mark.parametrize("argument", list(arguments()), ids=itertools.count())
def test_types_are_those_of_numba(argument):
    (name,) = machine_code.name_types([argument])
    assert name == cache._name_type(numba.typeof(argument))


@pytest.mark.parametrize(
    "argument",
    [
        None,
        "text",
        (1, 2),
        np.zeros(3, ">u4"),
        np.zeros(3, "c8"),
        np.zeros(3, [("a", "u1")]),
        np.ma.zeros(3),
        np.zeros(3, np.uint8).view(np.recarray),
    ],
)
def test_other_arguments_are_for_numba(argument):
    assert machine_code.name_types([1, argument]) is None


@needs_direct_calls
def test_a_kernel_that_needs_what_is_not_here_is_left_to_numba(tmp_path, monkeypatch, caplog):
    header = {"needs": ["no_such_function"], "has_threads": False}
    file = tmp_path / "a.nbc"
    stored.write(file, stored.StoredKernel(header, b"code", b"rest"))
    assert stored.read(file) == stored.StoredKernel(header, b"code", b"rest")
    monkeypatch.setattr(machine_code.places, "read_places", lambda: [tmp_path])
    with caplog.at_level(logging.DEBUG, logger="fastkq"):
        assert machine_code._read_and_link("a", "a.nbc") is None
    (message,) = caplog.messages
    assert "there is no no_such_function" in message


def test_code_without_a_header_is_left_to_numba(tmp_path, monkeypatch, caplog):
    stored.write(tmp_path / "a.nbc", stored.StoredKernel(None, b"code", b"rest"))
    monkeypatch.setattr(machine_code.places, "read_places", lambda: [tmp_path])
    with caplog.at_level(logging.DEBUG, logger="fastkq"):
        assert machine_code._read_and_link("a", "a.nbc") is None
    assert caplog.messages == []


def test_numba_has_the_extension_modules():
    """A later Numba without them is called as ever, but each process takes longer: tell us."""
    assert callable(machine_code.load_extension("_dynfunc").make_function)
    assert set(machine_code.MATH) < set(machine_code.load_extension("_helperlib").c_helpers)
    with pytest.raises(ImportError, match="no extension module nothing"):
        machine_code.load_extension("nothing")
