"""Files are written in one step, with the permissions and the errors that they should have."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.cli import DONE, FAILED, main
from fastkq.files import write
from fastkq.files.write import check_output, is_temporary_of, open_target, write_file


@pytest.fixture(autouse=True)
def _known_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o444])
def test_an_existing_target_keeps_its_mode(tmp_path, mode):
    target, source = tmp_path / "a.png", tmp_path / "source"
    for path in (target, source):
        path.write_bytes(b"old")
    target.chmod(mode)
    source.chmod(0o666)
    write_file(target, b"new", like=source)
    assert (target.read_bytes(), mode_of(target)) == (b"new", mode)


@pytest.mark.parametrize(
    ("umask", "source", "expected"),
    [
        (0o022, None, 0o644),
        (0o077, None, 0o600),
        (0o022, 0o600, 0o600),
        (0o022, 0o666, 0o644),
        (0o022, 0o755, 0o644),
        (0o027, 0o664, 0o640),
        (0o022, 0o440, 0o440),
    ],
)
def test_a_new_target_has_no_permission_that_its_source_lacks(tmp_path, umask, source, expected):
    os.umask(umask)
    like = None
    if source is not None:
        like = tmp_path / "source"
        like.write_bytes(b"")
        like.chmod(source)
    write_file(tmp_path / "a.png", b"new", like=like)
    assert mode_of(tmp_path / "a.png") == expected


def test_a_source_that_is_gone_makes_a_private_target(tmp_path):
    write_file(tmp_path / "a.png", b"new", like=tmp_path / "gone")
    assert mode_of(tmp_path / "a.png") == 0o600


def test_nobody_can_read_a_private_target_while_it_is_written(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    target.chmod(0o600)
    with open_target(target) as file:
        file.write(b"half")
        (temporary,) = set(names(tmp_path)) - {"a.png"}
        assert mode_of(tmp_path / temporary) == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "a" * 251 + ".png",
        "ä" * 125 + "x.png",
        "界" * 83 + ".webp",
        "a" * 215,
        "a" * 216,
        "a b\n.c.tmp.png",
    ],
)
def test_names_of_up_to_255_bytes_are_written(tmp_path, name):
    assert len(os.fsencode(name)) <= 255
    with open_target(tmp_path / name) as file:
        file.write(b"data")
        (temporary,) = names(tmp_path)
        assert is_temporary_of(temporary, name)
        assert temporary.startswith(f".{name[:60]}")
        assert not is_temporary_of(temporary, "b" + name[1:])
        assert not is_temporary_of(temporary, name + "x")
    assert names(tmp_path) == [name]


def test_long_names_that_begin_alike_have_other_temporary_names(tmp_path):
    first, second = ("a" * 250 + end for end in ("1.png", "2.png"))
    with open_target(tmp_path / first):
        (temporary,) = names(tmp_path)
        assert is_temporary_of(temporary, first)
        assert not is_temporary_of(temporary, second)


@pytest.mark.parametrize("check", [check_output, lambda path: write_file(path, b"")])
def test_a_longer_name_is_one_error_with_its_number(tmp_path, check):
    path = tmp_path / ("a" * 252 + ".png")
    with pytest.raises(OSError, match=r"\.png: cannot be written: File name too long$") as caught:
        check(path)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert str(caught.value).startswith(str(path))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, OSError),
        (errno.EACCES, PermissionError),
        (errno.EDQUOT, OSError),
        (errno.EROFS, OSError),
    ],
)
def test_errors_keep_their_class_and_number(tmp_path, monkeypatch, number, kind):
    def fail(*arguments):
        raise OSError(number, os.strerror(number), "a temporary name")

    monkeypatch.setattr(write.os, "replace", fail)
    with pytest.raises(kind) as caught:
        write_file(tmp_path / "a.png", b"data")
    assert type(caught.value) is kind
    assert caught.value.errno == number
    text = f"{tmp_path / 'a.png'}: cannot be written: {os.strerror(number)}"
    assert str(caught.value) == text
    assert names(tmp_path) == []


def test_a_missing_directory_has_its_number(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no directory") as caught:
        check_output(tmp_path / "none" / "a.png")
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("number", [None, errno.EPERM, errno.ENOTSUP])
def test_exclusive_writes_what_is_new_and_nothing_else(tmp_path, monkeypatch, number):
    """Also where a file can have no second name."""
    if number is not None:

        def fail(*arguments):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(write.os, "link", fail)
    target = tmp_path / "a.png"
    write_file(target, b"first", exclusive=True)
    with pytest.raises(FileExistsError, match=r"a\.png: exists, and is not replaced") as caught:
        write_file(target, b"second", exclusive=True)
    assert caught.value.errno == errno.EEXIST

    def write_late():
        with open_target(tmp_path / "b.png", exclusive=True) as file:
            file.write(b"late")
            (tmp_path / "b.png").write_bytes(b"early")

    with pytest.raises(FileExistsError, match="exists"):
        write_late()
    assert target.read_bytes() == b"first"
    assert (tmp_path / "b.png").read_bytes() == b"early"
    assert names(tmp_path) == ["a.png", "b.png"]


def test_of_many_at_once_one_writes(tmp_path):
    barrier, outcomes = threading.Barrier(8), []

    def run(number):
        try:
            with open_target(tmp_path / "a.png", exclusive=True) as file:
                file.write(b"%d" % number)
                barrier.wait()
            outcomes.append(number)
        except FileExistsError:
            outcomes.append(None)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number in outcomes if number is not None]
    assert (tmp_path / "a.png").read_bytes() == b"%d" % winner
    assert names(tmp_path) == ["a.png"]


WRITER = """
import sys, time
from fastkq.files.write import open_target
with open_target(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("open", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    target = tmp_path / "a.png"
    others = [".b.png.0000-1-00000000.tmp", ".a.png.tmp", ".a.png.x.tmp", "a.png.0123abcd.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"other")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, target], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"open\n"
        assert len(names(tmp_path)) == 1 + len(others)
        write_file(target, b"other")  # the process lives: its file stays
        assert len(names(tmp_path)) == 2 + len(others)
        process.send_signal(signal.SIGKILL)
    write_file(target, b"new", clean=False)
    assert len(names(tmp_path)) == 2 + len(others)
    write_file(target, b"new")
    assert names(tmp_path) == sorted(["a.png", *others])


def test_leftovers_of_other_hosts_go_by_their_age(tmp_path):
    young, old = (tmp_path / f".a.png.0000-1-0000000{n}.tmp" for n in (1, 2))
    earlier = tmp_path / ".a.png.0123abcd.tmp"  # of a version that did not say whose they are
    for path in (young, old, earlier):
        path.write_bytes(b"half")
    (tmp_path / ".a.png.0000-1-00000003.tmp").mkdir()
    host = write._host_mark()
    assert host != "0000"
    mine = tmp_path / f".a.png.{host}-{os.getpid()}-00000000.tmp"
    mine.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    write_file(tmp_path / "a.png", b"new")
    assert names(tmp_path) == sorted(["a.png", young.name, mine.name, ".a.png.0000-1-00000003.tmp"])


@pytest.fixture(params=["whole", "streamed"])
def photo(request, tmp_path, monkeypatch):
    """A private picture, which is written at once, or as its rows come."""
    if request.param == "streamed":
        monkeypatch.setattr("fastkq.files.rows.LARGE_PIXELS", 100)
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
        path
    )
    path.chmod(0o600)
    return path


def test_compress_keeps_permissions(photo, tmp_path):
    target = tmp_path / "out.png"
    fastkq.compress(photo, target, 8)
    assert mode_of(target) == 0o600
    target.chmod(0o640)
    photo.chmod(0o644)
    fastkq.compress(photo, target, 4)
    assert mode_of(target) == 0o640
    fastkq.compress(photo.read_bytes(), tmp_path / "bytes.png", 4)
    assert mode_of(tmp_path / "bytes.png") == 0o644


def test_compress_that_may_not_overwrite(photo, tmp_path, monkeypatch):
    target = tmp_path / "out.png"
    fastkq.compress(photo, target, 8, overwrite=False)
    before = target.read_bytes()
    with pytest.raises(FileExistsError, match=r"out\.png: exists, and is not replaced"):
        fastkq.compress(photo, target, 4, overwrite=False)
    assert target.read_bytes() == before
    with pytest.raises(TypeError, match="overwrite is 'yes'; True or False is allowed"):
        fastkq.compress(photo, target, 4, overwrite="yes")
    # One that comes while the image is compressed.
    link, late = os.link, tmp_path / "late.png"

    def come_first(*arguments):
        late.write_bytes(b"first")
        link(*arguments)

    monkeypatch.setattr(write.os, "link", come_first)
    with pytest.raises(FileExistsError, match=r"late\.png: exists, and is not replaced"):
        fastkq.compress(photo, late, 4, overwrite=False)
    assert late.read_bytes() == b"first"
    assert names(tmp_path) == ["late.png", "out.png", "photo.png"]


def test_the_command_tells_the_second_of_two(photo, tmp_path, monkeypatch, capsys):
    link, target = os.link, tmp_path / "photo-fastkq.png"

    def come_first(*arguments):
        target.write_bytes(b"first")
        link(*arguments)

    monkeypatch.setattr(write.os, "link", come_first)
    assert main(["compress", str(photo), "-k", "8"]) == FAILED
    assert f"{target}: exists" in capsys.readouterr().err
    assert target.read_bytes() == b"first"
    assert main(["compress", str(photo), "-k", "8", "--force"]) == DONE
    assert target.read_bytes().startswith(b"\x89PNG")
