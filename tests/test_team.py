"""Pieces of kernels that threads share: each once, whoever comes, and whatever goes wrong."""

import os
import threading
import time
from queue import SimpleQueue

import numpy as np
import pytest

import fastkq
from fastkq.kernels import team, threads


def do(n_pieces, n_threads, least=1, pause=0.0):
    """Share pieces; return how often each was done, and by how many threads."""
    done, threads = [0] * n_pieces, set()

    def kernel(begin, end, step):
        threads.add(threading.get_ident())
        time.sleep(pause)
        for piece in range(begin, end):
            done[piece] += step

    team.share(kernel, n_pieces, least, n_threads, (1,))
    return done, len(threads)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 16])
@pytest.mark.parametrize("n_pieces", [0, 1, 2, 7, 64, 1009])
@pytest.mark.parametrize("least", [1, 5, 100])
def test_each_piece_is_done_once(n_pieces, n_threads, least):
    done, n_seen = do(n_pieces, n_threads, least)
    assert done == [1] * n_pieces
    assert n_seen <= n_threads


def test_threads_help():
    assert do(16, 4, pause=0.02)[1] == 4


@pytest.fixture
def no_helpers(monkeypatch):
    """A team without helpers: those of other tests wait for work elsewhere."""
    monkeypatch.setattr(team, "_helpers", [])
    monkeypatch.setattr(team, "_wanted", SimpleQueue())


def test_helpers_that_are_busy_are_not_waited_for(no_helpers):
    """Another caller has the only one; this one does its work alone."""
    entered, leave = threading.Barrier(3), threading.Event()

    def block(begin, end):
        entered.wait()
        leave.wait()

    other = threading.Thread(target=team.share, args=(block, 2, 1, 2, ()))
    other.start()
    try:
        entered.wait()
        assert do(9, 2) == ([1] * 9, 1)
    finally:
        leave.set()
        other.join()
    assert do(9, 2, pause=0.02) == ([1] * 9, 2)


@pytest.mark.parametrize("in_caller", [False, True])
def test_an_error_ends_the_call_when_nobody_works_any_more(in_caller):
    caller, working = threading.get_ident(), []

    def kernel(begin, end):
        working.append(begin)
        time.sleep(0.01)
        is_caller = threading.get_ident() == caller
        working.remove(begin)
        if is_caller == in_caller:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        team.share(kernel, 40, 1, 4, ())
    assert working == []
    assert do(9, 4)[0] == [1] * 9


def test_callers_at_once():
    results = {}

    def call(name):
        results[name] = [do(50, 3)[0] for _ in range(20)]

    callers = [threading.Thread(target=call, args=(name,)) for name in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(result == [[1] * 50] * 20 for result in results.values())
    assert len(results) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_helpers_of_its_own():
    do(16, 3)
    assert team.has_started()
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        ok = False
        try:
            team.forget()
            ok = not team.has_started() and do(16, 3, pause=0.02) == ([1] * 16, 3)
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_without_new_threads_the_caller_works_alone(monkeypatch, no_helpers):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert do(16, 4) == ([1] * 16, 1)


class Plain:
    """Stands in for a kernel: a function that nothing compiles."""

    def __init__(self, function):
        self.py_func = function

    def find(self, arguments):
        return self.py_func


def make_kernel(calls, least=1):
    """A kernel that tells who does its pieces."""

    def alone(begin, end, pieces):
        calls.append("team")

    def on_numba_threads(begin, end, pieces):
        calls.append(f"numba {begin} {end}")

    return threads.SharedKernel(Plain(alone), "pieces", least, threaded=Plain(on_numba_threads))


@pytest.fixture
def load(monkeypatch):
    """What the machine tells of its load, from the number of threads that want to run."""

    def tell(runnable):
        monkeypatch.setattr(threads, "_read_runnable", lambda: runnable)

    monkeypatch.setattr(threads, "n_threads", lambda: 2)
    monkeypatch.setattr(threads, "_n_busy", 0)
    tell(1)
    return tell


@pytest.mark.skipif(threads.is_serial(), reason="a forked child")
def test_threads_of_numba_are_used_where_cores_are_free(load):
    calls = []
    kernel = make_kernel(calls, least=8)
    kernel(8)
    assert calls == ["numba 0 8"]
    load((os.cpu_count() or 1) + 1)
    for _ in range(4):  # the second look in turn is believed
        kernel(8)
    assert calls[1:] == ["numba 0 8", "team", "team", "team"]
    load(0)  # no file tells
    for _ in range(3):
        kernel(8)
    assert calls[5:] == ["team", "numba 0 8", "numba 0 8"]


def test_a_moment_of_load_changes_nothing(load):
    calls = []
    kernel = make_kernel(calls, least=8)
    for runnable in (1, 99, 1, 99, 1, 99):
        load(runnable)
        kernel(8)
    assert calls == 6 * ["numba 0 8"]


def test_one_piece_and_one_thread_need_no_other(load, monkeypatch):
    calls = []
    kernel = make_kernel(calls)
    kernel(1)
    monkeypatch.setattr(threads, "n_threads", lambda: 1)
    kernel(8)
    assert calls == ["team", "team"]


def test_whose_threads_can_be_said(load):
    calls = []
    kernel = make_kernel(calls, least=8)
    with threads.always(False):
        kernel(8)
    load((os.cpu_count() or 1) + 1)
    with threads.always(True):
        for _ in range(3):
            kernel(8)
    for _ in range(2):
        kernel(8)
    assert calls == ["team", *4 * ["numba 0 8"], "team"]


def test_numbas_threads_rest_where_work_of_the_team_follows(load):
    """They spin on for 8 ms; those that other threads call for are not concerned."""
    calls = []
    kernel = make_kernel(calls, least=8)
    with threads.numba_rests(True):
        kernel(8)
        other = threading.Thread(target=kernel, args=(8,))
        other.start()
        other.join()
        with threads.numba_rests(False):
            kernel(8)
    kernel(8)
    assert calls == ["team", "numba 0 8", "numba 0 8", "numba 0 8"]


@pytest.mark.parametrize("dither", ["none", "diffusion"])
def test_kmeans_leaves_the_cores_to_dithering(load, monkeypatch, dither):
    rests = []
    ask = threads._is_for_numba
    monkeypatch.setattr(threads, "_is_for_numba", lambda n: rests.append(ask(2)) or False)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    fastkq.quantize(image, 4, dither=dither, max_iter=2)
    assert set(rests) == {dither == "none"}


def test_forms_are_those_that_a_process_will_need(monkeypatch):
    monkeypatch.setattr(threads, "n_threads", lambda: 2)
    assert threads.forms() == (True, False)
    with threads.always(False):
        assert threads.forms() == (False,)
    monkeypatch.setattr(threads, "n_threads", lambda: 1)
    assert threads.forms() == (False,)


@pytest.mark.skipif(not os.path.exists("/proc/loadavg"), reason="the system does not tell its load")
def test_the_load_of_the_machine_is_read():
    """This thread runs while it looks; one that spins beside it is counted as well."""
    assert threads._read_runnable() >= 1
    threads._load_file.cache_clear()
    assert threads._read_runnable() >= 1


@pytest.mark.parametrize(
    ("n_pixels", "n_threads", "n_slabs"),
    [
        (1, 64, 1),
        (2**19 - 1, 64, 1),
        (2**20, 64, 2),
        (24_000_000, 2, 2),
        (24_000_000, 64, 5),  # tables of 80 MB
        (8_000_000, 64, 4),
        (400_000_000, 64, 64),
    ],
)
def test_slabs_are_as_many_as_threads_and_memory_allow(monkeypatch, n_pixels, n_threads, n_slabs):
    monkeypatch.setattr(threads, "n_threads", lambda: n_threads)
    assert threads.n_slabs(n_pixels, 2**19, 2**24) == n_slabs
