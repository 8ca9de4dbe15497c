"""Compiled kernels on disk: fresh after any edit, and no command fails by what lies there."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from kernel_copies import copy_kernels

import fastkq
from fastkq.kernels import cache, places, stored
from fastkq.loading import load_kernels

PACKAGE = Path(fastkq.__file__).parent


def run_python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty cache directory for kernels of this process."""
    monkeypatch.setattr(places, "write_place", lambda: tmp_path)
    monkeypatch.setattr(places, "read_places", lambda: [tmp_path])
    monkeypatch.setattr(stored, "_damaged", set())
    return tmp_path


def add_seven(x):
    return x + 7


def make_kernel():
    """A kernel as a new process has it: nothing is compiled or loaded yet."""
    compiled = numba.njit(add_seven)
    cache.attach(compiled)
    return compiled


def n_hits(compiled):
    assert compiled(1) == 8
    return sum(compiled.stats.cache_hits.values())


def test_what_was_compiled_is_loaded(place):
    assert [n_hits(make_kernel()) for _ in range(3)] == [0, 1, 1]
    (file,) = place.iterdir()
    assert file.name.startswith("test_kernel_cache.add_seven-")
    other = make_kernel()
    assert other(0.5) == 7.5  # types have a file each
    assert len(list(place.iterdir())) == 2


def damages():
    """Ways in which a file of a whole number of bytes can be damaged."""
    for length in (0, 1, 31, 32, 33, 63, 64, 65, 1000, -1):
        yield f"cut to {length}", lambda data, length=length: data[:length]
    for position in (32, 63, 64, 500, -1):

        def flip(data, position=position):
            changed = bytearray(data)
            changed[position] ^= 1
            return bytes(changed)

        yield f"bit at {position}", flip
    yield "longer", lambda data: data + b"\0"
    yield "noise", lambda data: data[:32] + np.random.default_rng(0).bytes(len(data) - 32)


@pytest.mark.parametrize("damage", [pytest.param(d, id=name) for name, d in damages()])
def test_a_damaged_file_is_compiled_anew(place, caplog, damage):
    assert n_hits(make_kernel()) == 0
    (file,) = place.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING, logger="fastkq"):
        assert n_hits(make_kernel()) == 0
    (line,) = caplog.messages
    assert str(place) in line
    assert "is damaged and is compiled anew" in line
    assert "\n" not in line
    assert n_hits(make_kernel()) == 1


def test_a_file_of_other_sources_is_replaced_in_silence(place, caplog, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(stored, "stamp", lambda: bytes(32))
        assert n_hits(make_kernel()) == 0
    with caplog.at_level(logging.DEBUG, logger="fastkq"):
        assert [n_hits(make_kernel()) for _ in range(2)] == [0, 1]
    assert caplog.messages == []
    assert len(list(place.iterdir())) == 1


def test_a_pickle_that_fails_is_told_of(place, caplog, monkeypatch):
    """A right digest over what this Numba cannot load."""
    with monkeypatch.context() as other:
        other.setattr(cache, "dumps", lambda parts: b"no pickle")
        assert n_hits(make_kernel()) == 0
    with caplog.at_level(logging.WARNING, logger="fastkq"):
        assert [n_hits(make_kernel()) for _ in range(2)] == [0, 1]
    assert len(caplog.messages) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full to write to")
def test_a_full_disk_is_done_without(place, caplog):
    assert n_hits(make_kernel()) == 0
    (file,) = place.iterdir()
    file.unlink()
    temporary = place / f"{file.name}.{os.getpid()}.tmp"
    temporary.symlink_to("/dev/full")
    with caplog.at_level(logging.DEBUG, logger="fastkq"):
        assert n_hits(make_kernel()) == 0
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "No space left on device" in record.message
    assert list(place.iterdir()) == []  # the next one starts anew
    assert [n_hits(make_kernel()) for _ in range(2)] == [0, 1]


def test_a_directory_that_is_gone_is_done_without(place):
    place.rmdir()
    assert n_hits(make_kernel()) == 0


def test_numba_without_the_parts_has_its_own_cache(place, monkeypatch):
    monkeypatch.setattr(cache, "CompileResult", None)
    assert n_hits(make_kernel()) >= 0
    assert type(make_kernel()._cache).__module__ == "numba.core.caching"
    assert list(place.iterdir()) == []


@pytest.fixture
def prepared(tmp_path):
    """A cache directory that has all that compressing an image needs; its folder of files."""
    load_kernels()
    folder = copy_kernels(tmp_path / "cache")
    if folder is None:
        pytest.skip("no directory for compiled kernels can be written")
    return folder


def test_a_command_with_a_damaged_cache(prepared, tmp_path, images):
    """Every command ended in a traceback, until somebody deleted the files."""
    # Kernels that compile in little time.
    names = ("fill_table", "split_cell", "between", "decode_colors")
    for name, (_, damage) in zip(names, list(damages())[::4], strict=False):
        files = list(
            prepared.glob(f"*.{name}-*.nbc")
        )  # one for each of the types it was called with
        assert files
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
    photo, target = images / "photo-sunset.png", tmp_path / "target.png"
    command = ("-m", "fastkq", "compress", photo, "-k", 8, "--force", "-q", "-o", target)
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    told = run_python(*command, **environment).stderr.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"fastkq: a compiled kernel in {prepared} is damaged")
    expected = tmp_path / "expected.png"
    fastkq.compress(photo, expected, 8)
    assert target.read_bytes() == expected.read_bytes()
    again = run_python(*command, **environment)
    assert again.stderr == ""


def test_a_cache_that_cannot_be_written_is_used_from_where_it_is(prepared, tmp_path):
    """As in a container, whose image has it: copied there, with other times, for another user."""
    copied = tmp_path / "elsewhere"
    shutil.move(prepared.parents[1], copied)
    for path in copied.rglob("*.nbc"):
        os.utime(path, (1, 1))
    code = (
        "import sys, tempfile\n"
        "def refuse(*arguments, **options):\n"
        "    raise PermissionError('read-only')\n"
        "tempfile.TemporaryFile = refuse\n"
        "from numba.core import event\n"
        "compiled = []\n"
        "class Listener(event.Listener):\n"
        "    def on_start(self, event):\n"
        "        compiled.append(event.data['dispatcher'].py_func.__name__)\n"
        "    def on_end(self, event):\n"
        "        pass\n"
        "event.register('numba:compile', Listener())\n"
        "import numpy as np\n"
        "import fastkq\n"
        "from fastkq.kernels import places\n"
        "image = np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8)\n"
        "fastkq.quantize(image, 16)\n"
        "print(places.write_place(), compiled)\n"
    )
    run = run_python("-c", code, NUMBA_CACHE_DIR=str(copied))
    assert run.stdout == "None []\n"


def test_loading_kernels_loads_nothing_of_the_compiler(prepared):
    """Numba's registries, and SciPy where it is installed, took half of a process's first image."""
    code = (
        "import sys\n"
        "import numpy as np\n"
        "import fastkq\n"
        "image = np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8)\n"
        "fastkq.quantize(image, 16)\n"
        "print({'numba.np.linalg', 'scipy.linalg'} & set(sys.modules))\n"
    )
    assert run_python("-c", code, NUMBA_CACHE_DIR=str(prepared.parents[1])).stdout == "set()\n"


def test_a_process_that_can_write_no_file_works_uncached(tmp_path):
    """Its cache directory looks as if it could be written."""
    resource = pytest.importorskip("resource", reason="Windows has no limits of file sizes")
    code = (
        "import numpy as np, fastkq\n"
        "print(fastkq.kernels.wu.between(np.array([2.0, 3.0, 0.0, 0.0, 0.0])))\n"
        "print(fastkq.kernels.places.write_place())\n"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    value, folder = run.stdout.splitlines()
    assert (value, run.stderr) == ("4.5", "")
    assert list(Path(folder).iterdir()) == []


INNER = """
from fastkq.kernels.compile import kernel

@kernel()
def inner():
    return 1
"""
OUTER = """
from fastkq.kernels.compile import kernel
from fastkq.kernels.inner import inner

@kernel()
def outer():
    return inner() + 10
"""
CALL = """
import sys
from fastkq.kernels import places
from fastkq.kernels.outer import outer
value = outer()
is_loaded = "numba" not in sys.modules or sum(outer.dispatcher.stats.cache_hits.values())
print(value, int(is_loaded), places.write_place())
"""


@pytest.fixture
def site(tmp_path):
    """A copy of the package with two kernels more, one of which calls the other."""
    folder = tmp_path / "site"
    shutil.copytree(PACKAGE, folder / "fastkq", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "fastkq" / "kernels" / "inner.py").write_text(INNER)
    (folder / "fastkq" / "kernels" / "outer.py").write_text(OUTER)
    return folder


@pytest.fixture
def call(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    def run(site):
        # No .pyc, which would hide an edit that changes neither the time nor the size.
        result = run_python("-P", "-B", "-c", CALL, PYTHONPATH=str(site))
        value, hits, place = result.stdout.split()
        return int(value), int(hits), place

    return run


def test_an_edit_of_another_file_is_seen(site, call):
    """Numba's cache looks at the caller's file only; here not even time and size change."""
    inside = str(site / "fastkq" / "kernels" / "__pycache__")
    assert call(site) == (11, 0, inside)
    assert call(site) == (11, 1, inside)
    helper = site / "fastkq" / "kernels" / "inner.py"
    times = helper.stat()
    helper.write_text(INNER.replace("return 1", "return 2"))
    os.utime(helper, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert call(site) == (12, 0, inside)
    assert call(site) == (12, 1, inside)


def test_a_copy_elsewhere_keeps_what_was_compiled(site, call, tmp_path):
    assert call(site)[:2] == (11, 0)
    copied = tmp_path / "elsewhere"
    shutil.copytree(site, copied)
    for path in copied.rglob("*.py"):
        os.utime(path, (1, 1))
    assert call(copied) == (11, 1, str(copied / "fastkq" / "kernels" / "__pycache__"))


def test_a_tree_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    """What was compiled for it is found in it; what was not goes to the user's directory."""
    folder, home = tmp_path / "package", tmp_path / "home"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.py").write_text("")
    real = places.tempfile.TemporaryFile

    def refuse(dir):  # noqa: A002 - the name in tempfile
        if dir == folder / "__pycache__":
            raise PermissionError("read-only")
        return real(dir=dir)

    for function in (places.source_digest, places.write_place, places.read_places):
        monkeypatch.setattr(places, function.__name__, function.__wrapped__)
    monkeypatch.setattr(places, "FOLDER", folder)
    monkeypatch.setattr(places, "INSIDE", folder / "__pycache__")
    monkeypatch.setattr(places.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(places, "_user_directory", lambda: home)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    own = home / "fastkq" / places.source_digest().hex()[:16]
    assert places.read_places() == [own, folder / "__pycache__"]
    assert places.write_place() == own
    # A cache that is named is the only one: who empties it wants everything compiled anew.
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    named = tmp_path / "named" / "fastkq" / own.name
    assert places.read_places() == [named]
    # One that an image of a container brings is read, though nothing can be added to it.
    monkeypatch.setattr(
        places.tempfile, "TemporaryFile", lambda **_: refuse(folder / "__pycache__")
    )
    assert places.write_place() is None
    assert places.read_places() == [named]
    for what in ("quantizing", "all"):
        assert not places.is_prepared(what)
        places.set_prepared(what)
        assert not places.is_prepared(what)
    (named / f"all.{places.PYTHON}.prepared").write_bytes(places.source_digest())
    assert places.is_prepared("all")


FAILING = """
import numpy as np
from fastkq.kernels.compile import kernel

@kernel()
def fail(n):
    if n > 3:
        raise ValueError("n is too large")
    return np.ones(n).sum()
"""
FAIL = """
import sys
from fastkq.kernels.failing import fail
print(fail(3))
try:
    fail(4)
except ValueError as error:
    print(error)
try:
    fail("text")
except Exception as error:
    print(type(error).__name__)
"""


def test_errors_are_those_of_numba_where_kernels_are_called_without_it(site, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (site / "fastkq" / "kernels" / "failing.py").write_text(FAILING)
    runs = [run_python("-P", "-B", "-c", FAIL, PYTHONPATH=str(site)).stdout for _ in range(2)]
    assert runs[0] == "3.0\nn is too large\nTypingError\n"
    assert runs[1] == runs[0]
