"""Faults of the machine and of other processes: one line, and no file lost or left behind."""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq import cli
from fastkq.batch.pool import WorkerDiedError, map_images, map_unordered
from fastkq.batch.text import printable
from fastkq.command import timeout

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(path)
    return path


def names(folder):
    return sorted(os.listdir(folder))


def run(*arguments, **options):
    command = [sys.executable, "-m", "fastkq", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


# Targets that are something else.


def make_directory(target, photo):
    target.mkdir()


def make_device(target, photo):
    target.symlink_to("/dev/null")


def make_pipe(target, photo):
    os.mkfifo(target)


def make_link_to_the_source(target, photo):
    target.symlink_to(photo)


def make_second_name_of_the_source(target, photo):
    os.link(photo, target)


@POSIX
@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        make_directory,
        make_device,
        make_pipe,
        make_link_to_the_source,
        make_second_name_of_the_source,
    ],
)
def test_a_target_that_is_something_else(photo, tmp_path, capsys, make, is_batch):
    out = tmp_path / "out"
    out.mkdir()
    target = out / "photo.png"
    make(target, photo)
    before, status = photo.read_bytes(), target.lstat()
    way = ["-d", str(out), "-j", "1"] if is_batch else ["-o", str(target)]
    code = cli.main(["compress", str(photo), *way, "--force", "-k", "4", "-q"])
    told = capsys.readouterr().err
    assert photo.read_bytes() == before
    assert target.lstat().st_ino == status.st_ino
    assert not [name for name in names(out) if name.endswith(".tmp")]
    if code:
        assert told.count("\n") == 1
    else:  # a batch whose target would be a source takes another name
        assert is_batch
        assert told == ""
        assert len(names(out)) == 2


@pytest.mark.parametrize("is_batch", [False, True])
def test_a_directory_that_is_removed_meanwhile(photo, tmp_path, monkeypatch, is_batch):
    out = tmp_path / "out"
    out.mkdir()
    from fastkq import pipeline

    find_fit = pipeline.find_fit

    def find(*arguments):
        shutil.rmtree(out, ignore_errors=True)
        return find_fit(*arguments)

    monkeypatch.setattr(pipeline, "find_fit", find)
    if is_batch:  # which makes its folder
        (result,) = fastkq.compress_many([photo], out, 4, jobs=1)
        assert result.status == "done"
    else:
        with pytest.raises(FileNotFoundError, match="cannot be written: No such file"):
            fastkq.compress(photo, out / "a.png", 4)
        assert not out.exists()


@POSIX
def test_a_disk_that_is_full_in_mid_write(photo, tmp_path):
    """A limit for the size of files acts as a full disk does: some bytes are written, then none."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.png").write_bytes(b"old")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    result = run("compress", photo, "-d", out, "-j", "1", "--force", "-q", preexec_fn=limit)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("cannot be written: File too large")
    assert names(out) == ["photo.png"]
    assert (out / "photo.png").read_bytes() == b"old"


@pytest.mark.parametrize("is_batch", [False, True])
def test_out_of_memory_is_one_line(photo, tmp_path, monkeypatch, capsys, is_batch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("fastkq.pipeline.count_source", fail)
    way = ["-d", str(tmp_path / "out"), "-j", "1"] if is_batch else ["-o", str(tmp_path / "o.png")]
    assert cli.main(["compress", str(photo), *way, "-q"]) == 1
    assert capsys.readouterr().err == f"fastkq: {f'{photo}: ' * is_batch}out of memory\n"
    assert [name for name in names(tmp_path) if name != "out"] == ["photo.png"]
    with pytest.raises(MemoryError):
        fastkq.compress(photo, tmp_path / "o.png")


# Decoders that hang.


def cost_one(item):
    return 1


def hold_the_interpreter(seconds):
    """Sleep with the interpreter's lock held, as a decoder in C may."""
    if seconds:
        ctypes.PyDLL(None).sleep(seconds)
    return seconds


@POSIX
def test_a_worker_that_hangs_costs_its_item_only():
    start = time.monotonic()
    items = [0, 1000, 0]
    results = list(
        map_unordered(hold_the_interpreter, items, 2, cost=cost_one, budget=9, timeout=0.7)
    )
    assert time.monotonic() - start < 30
    told = [str(result) for item, result in results if item]
    assert told == ["took longer than 0.7 s, the timeout"]
    assert [result for item, result in results if not item] == [0, 0]


def test_one_image_has_a_worker_where_there_is_a_timeout(tmp_path):
    (found,) = map_images(find_process, [str(tmp_path)], str, 1, 60.0)
    assert found[1] != os.getpid()
    assert not isinstance(found[1], WorkerDiedError)


def find_process(item):
    return os.getpid()


@POSIX
def test_one_image_that_takes_too_long_is_one_line(photo, tmp_path, monkeypatch, capsys):
    def sleep(*arguments, **options):
        time.sleep(20)

    monkeypatch.setattr("fastkq.pipeline.count_source", sleep)
    start = time.monotonic()
    target = tmp_path / "o.png"
    code = cli.main(["compress", str(photo), "-o", str(target), "--timeout", "0.5"])
    assert code == 1
    assert time.monotonic() - start < 5
    assert capsys.readouterr().err == f"fastkq: {photo}: took longer than 0.5 s, the timeout\n"
    assert names(tmp_path) == ["photo.png"]
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


@POSIX
def test_one_image_whose_decoder_never_comes_back_ends_the_process():
    code = (
        "import ctypes\n"
        "from fastkq.command import timeout\n"
        "timeout.GRACE = 0.2\n"
        "with timeout.end_after(0.2, 'a.png'):\n"
        "    libc = ctypes.PyDLL(None)\n"
        "    while True:\n"
        "        libc.sleep(1000)\n"
    )
    start = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    # A signal ends a sleep, and a handler that raises ends the loop; else the process is ended.
    assert result.returncode == 1
    assert time.monotonic() - start < 10


CALLBACK = """
import signal
def cb():
    signal.raise_signal({number})
try:
    cb()
except BaseException:
    pass  # as what a weak reference calls drops it
"""


@POSIX
def test_a_signal_in_a_callback_of_the_importer_is_not_dropped():
    """Python tells "Exception ignored in" of what is raised there, and goes on."""

    def wait(number, code):
        exec(compile(CALLBACK.format(number=int(number)), code, "exec"), {})  # noqa: S102
        time.sleep(5)

    def run_out():
        with timeout.end_after(100, "a"):
            wait(signal.SIGALRM, "<frozen importlib._bootstrap>")

    def end(number):
        with cli._ended_by_signals():
            wait(number, "<frozen importlib._bootstrap>")

    with pytest.raises(TimeoutError, match=r"^a: took longer than 100 s, the timeout$"):
        run_out()
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(SystemExit) as caught:
        end(signal.SIGTERM)
    of_tests = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background
    with pytest.raises(KeyboardInterrupt):
        end(signal.SIGINT)
    signal.signal(signal.SIGINT, of_tests)
    signal.signal(signal.SIGALRM, before)
    assert caught.value.code == 128 + signal.SIGTERM


# Trees, links and names.


def test_a_recursive_run_stays_in_its_tree(photo, tmp_path):
    inside, outside, out = tmp_path / "in", tmp_path / "outside", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    shutil.copy(photo, outside / "secret.png")
    shutil.copy(photo, inside / "a.png")
    (inside / "link").symlink_to(outside)
    (inside / "up").symlink_to(tmp_path)
    results = list(fastkq.compress_many([inside], out, 4, recursive=True, jobs=1))
    assert [os.path.relpath(result.target, out) for result in results] == ["a.png"]
    everything = [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.png")]
    assert sorted(everything) == ["in", "out", "outside", "photo.png"]


@pytest.mark.parametrize("way", ["a/../../b.png", "../up.png", "./x/../../../y.png"])
def test_outputs_stay_in_their_folder(photo, tmp_path, monkeypatch, way):
    here = tmp_path / "a" / "here"
    (here / "x").mkdir(parents=True)
    (here / "a").mkdir()
    source = here / way
    shutil.copy(photo, os.path.normpath(source))
    monkeypatch.chdir(here)
    (result,) = fastkq.compress_many([way], "out", 4, jobs=1)
    assert result.status == "done"
    assert os.path.realpath(result.target).startswith(str(here / "out") + os.sep)


@POSIX
def test_reports_and_lines_escape_names(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    wild = ["a\nb.png", "c\x1b[2J.png", "d\u202ee.png", os.fsdecode(b"f\xff.png"), 'g"\\.png']
    for name in wild:
        (folder / name).write_bytes(b"no image")
    report = tmp_path / "run.jsonl"
    result = run("compress", folder, "-d", tmp_path / "out", "--report", report, "-j", "1")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == len(wild)
    assert not set("\x1b\u202e") & set(result.stderr + result.stdout)
    lines = report.read_bytes().splitlines()
    assert len(lines) == len(wild)
    assert all(line.startswith(b'{"source": "') and b"\x1b" not in line for line in lines)
    assert printable("a\nb.png") in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["kill_moments.py", "--kills", "12"],
        ["fuzz_readers.py", "palettes", "-max_total_time=10"],
        ["fuzz_readers.py", "images", "-max_total_time=20"],
    ],
)
def test_the_long_scripts_find_nothing(tmp_path, command):
    script = Path(__file__).parents[1] / "scripts" / command[0]
    result = subprocess.run(
        [sys.executable, script, *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    if result.stdout.startswith("skipped"):
        pytest.skip(result.stdout)
