"""Worker processes: a death costs one item, large images never meet, nobody is left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from fastkq import kernels
from fastkq.batch import pool as workers
from fastkq.batch.pool import WorkerDiedError, map_images, map_unordered, n_cores


def call(function, items, n_workers=2, *, cost=lambda item: 1, budget=100):
    return dict(map_unordered(function, items, n_workers, cost=cost, budget=budget))


def double(item):
    return 2 * item


def die_at_three(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def describe_worker(item):
    time.sleep(0.2)  # so that both get work
    return os.getpid(), kernels.threads.n_threads()


def when(item):
    start = time.monotonic()
    time.sleep(0.2)
    return start, time.monotonic()


def test_a_worker_that_dies_costs_its_item_only():
    results = call(die_at_three, range(8))
    died = results.pop(3)
    assert isinstance(died, WorkerDiedError)
    assert "died" in str(died)
    assert results == {item: 2 * item for item in range(8) if item != 3}


def test_threads_times_workers_are_at_most_the_cores():
    mine = kernels.threads.n_threads()
    results = call(describe_worker, range(6))
    processes = {process for process, _ in results.values()}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {threads for _, threads in results.values()} == {max(1, n_cores() // 2)}
    assert kernels.threads.n_threads() == mine


def test_dear_items_never_run_at_once():
    costs = [1, 60, 60, 1, 500, 1, 60]
    spans = call(when, range(len(costs)), cost=costs.__getitem__, budget=100)
    for first, (start, end) in spans.items():
        for second, (other_start, other_end) in spans.items():
            if first < second and costs[first] + costs[second] > 100:
                assert end <= other_start or other_end <= start, (first, second)


def test_items_are_taken_as_workers_come_free():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = map_unordered(double, items(), 2, cost=lambda item: 1, budget=100)
    next(results)
    assert len(taken) <= 2 * workers.ITEMS_A_WORKER + 1
    results.close()


def test_the_pixels_of_a_file_are_its_cost(tmp_path, monkeypatch):
    """A bomb has the whole budget, what is no image none."""
    Image.new("L", (40, 30)).save(tmp_path / "small.png")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    (tmp_path / "bad.png").write_bytes(b"bad")
    costs = {}

    def fake(function, items, n_workers, *, cost, budget):
        costs.update({os.path.basename(item): cost(item) for item in items})
        costs["budget"] = budget
        return iter(())

    monkeypatch.setattr(workers, "n_cores", lambda: 2)
    monkeypatch.setattr(workers, "map_unordered", fake)
    items = [str(tmp_path / name) for name in ("small.png", "bomb.png", "bad.png")]
    assert list(map_images(double, items, str, 9)) == []
    budget = workers.MIN_PIXELS_AT_ONCE
    assert costs == {"small.png": 1200, "bomb.png": budget, "bad.png": 0, "budget": budget}


def test_workers_end_with_a_parent_that_is_killed():
    code = (
        "import os, time\n"
        "from test_workers import describe_worker\n"
        "from fastkq.batch.pool import map_unordered\n"
        "if __name__ == '__main__':\n"
        "    items = map_unordered(describe_worker, range(99), 2, cost=float, budget=9e9)\n"
        "    print(next(items)[1][0], flush=True)\n"
        "    time.sleep(60)\n"
    )
    here = os.path.dirname(__file__)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=here
    ) as parent:
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.kill()
    end = time.monotonic() + 20
    while is_running(worker):
        assert time.monotonic() < end, "the worker outlives its parent"
        time.sleep(0.05)


def is_running(process):
    """Whether a process runs; one that has ended, but nobody asked about, does not."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_script_without_a_main_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from fastkq.batch.pool import map_unordered\n"
        "print(list(map_unordered(abs, [1, 2], 2, cost=float, budget=9)))\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert "RuntimeError: worker processes cannot be started; a script must call" in run.stderr


@pytest.mark.parametrize("n_workers", [1, 5])
def test_one_item_is_done_in_this_process(n_workers):
    ((_, (process, _)),) = map_images(describe_worker, ["none"], str, n_workers)
    assert process == os.getpid()
