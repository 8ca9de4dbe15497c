"""fastkq called from threads, forks, other processes and read-only installs.

Each caller is a program of its own, since a threading layer is chosen once a process, and what goes
wrong there ends or hangs it.
"""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from layers import LAYERS, environment_of_layer, hangs_with_threads

import fastkq

TIMEOUT = 300  # seconds, after which a program hangs; one with an empty cache takes up to 60

# The start of each program. The picture is large enough to be counted by slabs, and has the same
# palette on every machine; `digest` goes to other processes, so it stands at the top of a module.
PICTURE = """
import hashlib, os, sys
import numpy as np
import fastkq
from fastkq.kernels import threads

layer = threads.always(True)  # also where the machine is busy
layer.__enter__()

def picture(seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(257) // 7, np.arange(263) // 5)[..., None] * [1, 2, 3]
    return (smooth + rng.integers(0, 40, (257, 263, 3))).astype(np.uint8)

def digest(seed=0):
    result = fastkq.quantize(picture(seed), 16, max_iter=3)
    found = hashlib.sha256(result.palette.tobytes() + result.labels.tobytes())
    return found.hexdigest() + f" {result.inertia!r} {result.n_iter}"

def check_layer():
    import numba
    wanted = os.environ.get("NUMBA_THREADING_LAYER")
    assert wanted in (None, numba.threading_layer()), numba.threading_layer()

def tell(text):
    os.write(1, (text + "\\n").encode())  # whole, where print may write the line's end apart

def wait_for(pid):
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the child ended with {status}"
"""

# A child that hangs is a failure, and is not left: an alarm ends it.
FORK = """
import signal, traceback

def fork(job):
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
        code = 1
        try:
            job()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid
"""


def run(path, code, *, layer=None, timeout=TIMEOUT, **environment):
    """Run a program; return what it printed, skip where its threading layer is not to be had."""
    path.write_text(PICTURE + code, encoding="utf-8")
    variables = environment_of_layer(layer) | environment
    result = subprocess.run(
        [sys.executable, str(path)],
        cwd=path.parent,
        env=variables,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if "No threading layer could be loaded" in result.stderr:
        pytest.skip(f"Numba finds no threading layer {layer}; for tbb: pip install tbb")
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digests of pictures 0 to 7, one at a time on one thread."""
    code = "for seed in range(8): print(digest(seed))\n"
    path = tmp_path_factory.mktemp("expected") / "program.py"
    lines = run(path, code, NUMBA_NUM_THREADS="1")
    assert len(set(lines)) == 8
    return lines


@pytest.fixture
def program(tmp_path):
    return tmp_path / "program.py"


@pytest.mark.parametrize("layer", LAYERS)
def test_eight_threads_at_once(program, expected, layer):
    if hangs_with_threads(layer):
        pytest.skip("with TBB on one core, a process whose threads called kernels hangs at its end")
    code = """
from concurrent.futures import ThreadPoolExecutor
import threading
start = threading.Barrier(8)

def job(seed):
    start.wait()
    return [digest(seed) for _ in range(4)]

with ThreadPoolExecutor(8) as pool:
    for results in pool.map(job, range(8)):
        assert len(set(results)) == 1
        print(results[0])
check_layer()
"""
    assert run(program, code, layer=layer) == expected


def test_this_numba_aborts_without_our_care(program):
    """The test above can fail: kernels of Numba's own, called in the same way, end the process."""
    code = """
import numba
from concurrent.futures import ThreadPoolExecutor

@numba.njit(parallel=True, nogil=True)
def fill(array):
    for i in numba.prange(len(array)):
        for j in range(array.shape[1]):
            array[i, j] = i % (j + 1)

fill(np.zeros((64, 8)))
with ThreadPoolExecutor(8) as pool:
    list(pool.map(fill, [np.zeros((64, 300_000)) for _ in range(8)]))
"""
    with pytest.raises(AssertionError, match="Concurrent access has been detected"):
        run(program, code, layer="workqueue")


@pytest.mark.parametrize("layer", LAYERS)
def test_forked_after_use_in_the_parent(program, expected, layer):
    """As servers that load the application and then fork their workers, and those fork again."""
    code = """
first = digest()
check_layer()

def job():
    assert digest() == first
    wait_for(fork(lambda: tell(digest(1))))

for pid in [fork(job) for _ in range(2)]:
    wait_for(pid)
print(digest())
"""
    lines = run(program, FORK + code, layer=layer)
    assert lines == [expected[1], expected[1], expected[0]]


@pytest.mark.parametrize("layer", LAYERS)
def test_forked_while_other_threads_are_busy(program, expected, layer):
    if hangs_with_threads(layer):
        pytest.skip("with TBB on one core, a process whose threads called kernels hangs at its end")
    code = """
from concurrent.futures import ThreadPoolExecutor
import threading
digest()
check_layer()
stop = threading.Event()

def work(seed):
    done = [digest(seed)]
    while not stop.is_set():
        done.append(digest(seed))
    return set(done)

with ThreadPoolExecutor(4) as pool:
    working = [pool.submit(work, seed) for seed in range(4)]
    try:
        for _ in range(4):
            wait_for(fork(lambda: tell(digest(7))))
    finally:
        stop.set()
    for seed, task in enumerate(working):
        (one,) = task.result()
        print(one)
"""
    lines = run(program, FORK + code, layer=layer)
    # Numba's TBB says on stdout that threads in use cannot end; our children need none of them.
    lines = [line for line in lines if line and "Unable to join threads" not in line]
    assert lines == [expected[7]] * 4 + expected[:4]


def test_forked_after_the_parent_used_numba_but_not_fastkq(program, expected):
    """A parent's own kernels start the threads as well; fastkq has loaded none of its own yet."""
    code = """
import numba

@numba.njit(parallel=True)
def fill(array):
    for i in numba.prange(len(array)):
        array[i] = i

fill(np.zeros(10))
assert "fastkq.kernels.cells" not in sys.modules
wait_for(fork(lambda: tell(digest())))
"""
    assert run(program, FORK + code) == expected[:1]


def test_every_kernel_has_the_same_result_in_a_forked_child(program):
    code = """
from fastkq.engine.sample import label_cubes
points = np.random.default_rng(0).normal(size=(20_011, 3))
palette = np.arange(90, dtype=np.uint8).reshape(30, 3)

def results():
    yield fastkq.quantize(picture(), 16, effort="best", max_iter=3).labels
    yield fastkq.quantize(picture(), 16, init="k-means++", max_iter=3).labels
    yield label_cubes(palette)
    for dtype in (np.float32, np.float64):
        found = fastkq.kmeans(points.astype(dtype), 9, max_iter=3)
        yield from (found.centers, found.labels)

here = list(results())

def job():
    for ours, theirs in zip(results(), here, strict=True):
        assert np.array_equal(ours, theirs)
    from fastkq import kernels
    for module in (kernels.cells, kernels.cubes, kernels.dense, kernels.histogram, kernels.remap):
        for name, kernel in vars(module).items():
            if isinstance(kernel, kernels.threads.SharedKernel) and not kernel.compiled.n_forms:
                print("not run:", name)
    print("compared", flush=True)

wait_for(fork(job))
"""
    assert run(program, FORK + code) == ["compared"]


def test_forked_before_any_use_has_threads(program, expected):
    code = """
def job():
    print(digest())
    from fastkq.kernels import threads
    print(threads.is_serial(), threads.n_threads(), flush=True)

wait_for(fork(job))
"""
    lines = run(program, FORK + code, NUMBA_NUM_THREADS="2")
    assert lines == [expected[0], "False 2"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_after_use_in_the_parent(program, expected, method):
    code = f"""
if __name__ == "__main__":
    import multiprocessing
    digest()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(*pool.map_async(digest, range(8)).get(timeout=250), sep="\\n")
    print(digest())
"""
    assert run(program, code) == [*expected, expected[0]]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(program, expected, backend):
    if importlib.util.find_spec("joblib") is None:
        pytest.skip("joblib is not installed")
    code = f"""
if __name__ == "__main__":
    import joblib
    digest()
    jobs = [joblib.delayed(digest)(seed) for seed in range(8)]
    print(*joblib.Parallel(n_jobs=2, backend={backend!r})(jobs), sep="\\n")
"""
    assert run(program, code, layer="workqueue") == expected


def test_asyncio(program, expected):
    code = """
import asyncio

async def main():
    return await asyncio.gather(*[asyncio.to_thread(digest, seed) for seed in range(8)])

print(*asyncio.run(main()), sep="\\n")
"""
    assert run(program, code, layer="workqueue") == expected


def test_nothing_of_the_process_changes(program):
    """Environment, warnings, signals and the mask of threads are as they were."""
    code = """
import signal, warnings, json
import numba

def state():
    handlers = [str(signal.getsignal(number)) for number in signal.valid_signals()]
    return dict(os.environ), list(warnings.filters), handlers, os.getcwd(), np.geterr()

numba.set_num_threads(1)
before = state()
environment_at_start = json.loads(os.environ["AT_START"])
digest()
fastkq.kmeans(np.eye(9), 3)
assert state() == before
assert numba.get_num_threads() == 1
now = {name: value for name, value in os.environ.items() if name != "AT_START"}
print(now == environment_at_start)
"""
    at_start = os.environ | {"NUMBA_NUM_THREADS": "2", "LC_CTYPE": "C.UTF-8"}
    environment = {key: at_start[key] for key in ("NUMBA_NUM_THREADS", "LC_CTYPE")}
    assert run(program, code, AT_START=json.dumps(at_start), **environment) == ["True"]


def as_random_user():
    """Return the start of a command that runs as a user without a name, who may write nothing.

    The interpreter may lie where only its owner can read, so reading is allowed.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []  # an ordinary user may not write a read-only directory either
    command = "setpriv --reuid 54321 --regid 54321 --clear-groups"
    command += " --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to become another user")
    try:
        subprocess.run([*command.split(), sys.executable, "-c", ""], check=True)
    except subprocess.CalledProcessError:
        pytest.skip("root may write anywhere, and setpriv may not become another user here")
    return command.split()


@pytest.fixture
def read_only_install(tmp_path):
    """A copy of the package that cannot be written, with no compiled kernels."""
    site = tmp_path / "site"
    package = Path(fastkq.__file__).parent
    shutil.copytree(package, site / "fastkq", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [site, *(path for path in site.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield site
    for folder in folders:
        folder.chmod(0o755)


@pytest.fixture
def run_read_only(tmp_path, read_only_install):
    """Run Python as a random user, on the read-only package, in an empty directory."""
    user = as_random_user()
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    drop = {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"}
    inherited = {name: value for name, value in os.environ.items() if name not in drop}
    inherited |= {"PYTHONPATH": str(read_only_install), "PYTHONDONTWRITEBYTECODE": "1"}
    if not user:  # an ordinary user has a home in the password file
        inherited["HOME"] = str(read_only_install)

    def run_python(*arguments, **environment):
        result = subprocess.run(
            [*user, sys.executable, "-P", *arguments],
            cwd=work,
            env=inherited | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert list(work.iterdir()) == []
        return result.stdout

    return run_python


@pytest.mark.slow
def test_a_read_only_install_with_no_home(run_read_only):
    """It works, says that there is no cache, and leaves nothing in the current directory."""
    facts = json.loads(run_read_only("-m", "fastkq", "doctor", "--json"))
    assert facts["self-check"] == "ok"
    assert facts["cache writable"] is False
    assert "NUMBA_CACHE_DIR" in facts["cache directory"]


WHERE = """
import fastkq
from fastkq import kernels
print(fastkq.__file__)
print(kernels.places.write_place())
"""


def test_a_read_only_install_with_a_home_that_cannot_be_made(run_read_only, read_only_install):
    stdout = run_read_only("-c", WHERE, HOME=str(read_only_install / "nowhere"))
    assert stdout.splitlines() == [str(read_only_install / "fastkq" / "__init__.py"), "None"]


def test_a_read_only_install_with_a_cache_directory(run_read_only, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    stdout = run_read_only("-c", WHERE, NUMBA_CACHE_DIR=str(cache))
    assert Path(stdout.splitlines()[1]).parents[1] == cache


def test_doctor_prints_the_facts():
    environment = os.environ | {"NUMBA_NUM_THREADS": "3"}
    result = subprocess.run(
        [sys.executable, "-m", "fastkq", "doctor"],
        env=environment | {"NUMBA_THREADING_LAYER": "workqueue"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    facts = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert facts["fastkq"] == fastkq.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    for library in ("numpy", "numba", "llvmlite", "pillow", "imageio", "deflate"):
        assert facts[library] == importlib.metadata.version(library)
    assert (facts["threading layer"], facts["threads"]) == ("workqueue", "3")
    assert int(facts["cores"]) >= 1
    assert list(Path(facts["cache directory"]).glob("*.nbc"))
    assert facts["cache writable"] == "True"
    assert int(facts["SIMD bits"]) in (0, 128, 256, 512)
    assert facts["self-check"] == "ok"


def test_doctor_tells_a_wrong_result(monkeypatch, capsys):
    from fastkq import cli

    real = fastkq.quantize

    def wrong(image, n_colors):
        return real(image, n_colors - 1)

    monkeypatch.setattr(fastkq, "quantize", wrong)
    assert cli.main(["doctor"]) == 1
    assert "self-check: failed: a color is off by" in capsys.readouterr().out
