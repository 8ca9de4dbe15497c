"""Worker processes: a death costs one item, large images never meet, nobody is left behind."""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

import fastkq
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
    assert str(died) == (
        "its worker process died: SIGKILL, which the system sends where memory runs out"
    )
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

    def fake(function, items, n_workers, *, cost, budget, timeout):
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
    assert run.stderr.count("Traceback") == 1
    assert "RuntimeError: worker processes cannot be started; a script must call" in run.stderr


def end_by(item):
    """End this process as a decoder might."""
    way, words = item
    os.write(2, b"a line that is not the last\n" + words)
    if way == "exit":
        os._exit(3)
    elif way == "crash":
        faulthandler._sigsegv()
    return way


def test_the_cause_of_a_death_is_told():
    items = [("exit", b"libfoo: \x1b[31mcannot go on\n\n"), ("crash", b""), ("no", b"noise\n")]
    results = call(end_by, items)
    assert results.pop(items[2]) == "no"
    assert {item[0]: str(died) for item, died in results.items()} == {
        "exit": r"its worker process died: exit code 3: libfoo: \x1b[31mcannot go on",
        "crash": "its worker process died: SIGSEGV: Segmentation fault",
    }


def test_workers_that_die_while_they_start_are_told_and_the_run_goes_on(tmp_path):
    """The fourth and later processes live: before, each of two items costs its worker twice."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "from fastkq.batch.pool import map_unordered\n"
        "if __name__ == '__mp_main__':\n"
        "    starts = pathlib.Path(sys.argv[1])\n"
        "    (starts / str(os.getpid())).touch()\n"
        "    if len(list(starts.iterdir())) < 4:\n"
        "        os._exit(9)\n"
        "if __name__ == '__main__':\n"
        "    for item, result in map_unordered(abs, [-1, -2, -3], 1, cost=float, budget=9):\n"
        "        print(item, result)\n"
    )
    (tmp_path / "starts").mkdir()
    run = subprocess.run(
        [sys.executable, script, tmp_path / "starts"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert sorted(run.stdout.splitlines()) == [
        "-1 its worker process died while it started: exit code 9",
        "-2 its worker process died while it started: exit code 9",
        "-3 3",
    ]


def test_nothing_of_the_working_directory_runs(tmp_path):
    """Spawned processes are `python -c`, which looks for modules in the working directory first."""
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("pickle", "random", "socket", "tempfile", "struct", "numpy", "PIL", "fastkq"):
        (evil / f"{name}.py").write_text(f"open('OWNED-{name}', 'w')\n")
    script = tmp_path / "script.py"  # as the console script is: somewhere else
    script.write_text(
        "import os\n"
        "from test_workers import double\n"
        "from fastkq.batch.pool import map_unordered\n"
        "if __name__ == '__main__':\n"
        "    print(sorted(map_unordered(double, [1, 2], 2, cost=float, budget=9)))\n"
        "    print(os.environ.get('PYTHONSAFEPATH'))\n"
    )
    path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(fastkq.__path__[0])])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    run = subprocess.run(
        [sys.executable, script],
        cwd=evil,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("[(1, 2), (2, 4)]\nNone\n", "")
    assert not list(evil.glob("OWNED*"))


def compress_in_daemon(queue, folder, jobs):
    import fastkq

    results = fastkq.compress_many(folder, os.path.join(folder, "out"), 4, jobs=jobs)
    queue.put(sorted((os.path.basename(result.source), result.status) for result in results))


@pytest.mark.parametrize("jobs", [None, 2])
def test_a_daemonic_process_works_alone(tmp_path, jobs):
    for name in ("a.bmp", "b.bmp"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / name)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (queue, str(tmp_path), jobs)
    process = context.Process(target=compress_in_daemon, args=arguments, daemon=True)
    process.start()
    assert queue.get(timeout=90) == [("a.bmp", "done"), ("b.bmp", "done")]
    process.join()


def test_an_interrupt_ends_the_workers_at_once(tmp_path):
    code = (
        "import os, pathlib, signal, sys, threading, time\n"
        "from test_workers import sleep_long\n"
        "from fastkq.batch.pool import map_unordered\n"
        "if __name__ == '__main__':\n"
        "    begun = [pathlib.Path(sys.argv[1]) / name for name in 'ab']\n"
        "    def interrupt():\n"
        "        while not all(path.exists() for path in begun):\n"
        "            time.sleep(0.02)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    threading.Thread(target=interrupt, daemon=True).start()\n"
        "    try:\n"
        "        list(map_unordered(sleep_long, begun, 2, cost=lambda _: 1, budget=9))\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
    )
    begin = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (run.stdout, run.stderr) == ("interrupted\n", "")
    assert time.monotonic() - begin < 30


def sleep_long(begun):
    begun.touch()
    time.sleep(60)


@pytest.mark.parametrize("n_workers", [1, 5])
def test_one_item_is_done_in_this_process(n_workers):
    ((_, (process, _)),) = map_images(describe_worker, ["none"], str, n_workers)
    assert process == os.getpid()
