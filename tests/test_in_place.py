"""Outputs that must not be lost: verified, on the disk, in the place of their sources."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from faulty_writers import faulty
from PIL import Image

import fastkq
from fastkq import cli
from fastkq.animation import painter
from fastkq.batch import in_place
from fastkq.batch.plan import plan_jobs
from fastkq.files import verify, write
from fastkq.files.animations import open_animation
from fastkq.files.formats import FORMATS

SIZE = (90, 70)


def picture(mode="RGB"):
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (5, 6, 4), dtype=np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture().save(folder / "a.png", compress_level=0)
    picture().quantize(256).save(folder / "b.gif")
    picture().save(folder / "c.webp", lossless=True)
    picture("RGBA").save(folder / "d.png", compress_level=0)
    return folder


@pytest.fixture
def films(tmp_path):
    """Animated files of each format, larger than need be."""
    folder = tmp_path / "films"
    folder.mkdir()
    frames = [picture().rotate(10 * i) for i in range(4)]
    for name, options in {
        "a.gif": {},
        "b.png": {"compress_level": 0},
        "c.webp": {"lossless": True},
    }.items():
        frames[0].save(
            folder / name, save_all=True, append_images=frames[1:], duration=70, loop=0, **options
        )
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def replace(folder, **options):
    results = fastkq.compress_many([folder], None, 16, jobs=1, in_place=True, **options)
    return {os.path.basename(result.source): result for result in results}


def test_each_format_is_replaced_by_a_smaller_file_of_its_own(folder):
    os.chmod(folder / "a.png", 0o640)
    before = contents(folder)
    results = replace(folder)
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(
        before, "done"
    )
    for name, data in contents(folder).items():
        assert len(data) < len(before[name])
        with Image.open(folder / name) as image, Image.open(folder / name) as again:
            assert image.format.lower() == name.split(".")[1]
            assert len(again.convert("RGBA").getcolors()) <= 16
    assert stat.S_IMODE((folder / "a.png").stat().st_mode) == 0o640
    # A repeated run finds its own output.
    again = replace(folder)
    assert {result.status for result in again.values()} == {"skipped: own output"}


def test_animations_are_replaced_by_smaller_ones_of_their_format(films):
    os.chmod(films / "a.gif", 0o640)
    os.utime(films / "b.png", (1_000_000_000, 1_100_000_000))
    before = contents(films)
    results = replace(films, backup=".orig", preserve=True)
    assert [result.status for result in results.values()] == ["done"] * 3
    assert {result.n_frames for result in results.values()} == {4}
    after = contents(films)
    for name, data in before.items():
        assert after[f"{name}.orig"] == data
        assert len(after[name]) < len(data)
        film = open_animation(after[name])
        assert film.durations == (70,) * 4
        assert film.loop == 0
        with Image.open(films / name) as image:
            assert image.format.lower() == name.split(".")[1]
        for own, old in zip(film, open_animation(data), strict=True):
            assert np.abs(own.astype(int) - old)[..., :3].mean() < 30
    assert stat.S_IMODE((films / "a.gif").stat().st_mode) == 0o640
    assert (films / "b.png").stat().st_mtime == 1_100_000_000
    again = [r for r in replace(films).values() if not r.source.endswith(".orig")]
    assert [result.status for result in again] == ["skipped: own output"] * 3


def test_an_animation_is_not_replaced_by_one_of_its_frames(films):
    before = contents(films)
    results = replace(films, frame=1)
    for result in results.values():
        assert result.status == "failed"
        assert "of 4 frames, and frame is 1; in place, all are kept" in result.error
    assert contents(films) == before


def test_an_animation_that_would_be_hardly_smaller_stays(films):
    before = contents(films)
    for result in replace(films, min_savings=0.99, backup=".orig").values():
        assert result.status == "no gain"
        assert 0.01 * result.source_bytes < result.target_bytes < result.source_bytes
    assert contents(films) == before


def test_a_full_disk_leaves_an_animation_as_it_was(films, monkeypatch):
    """In the middle of the write, when some of the new file is there."""
    before = contents(films)
    create = write._create

    class Full:
        def __init__(self, file):
            self._file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._file.close()

        def write(self, data):
            self._file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(write, "_create", lambda *given: Full(create(*given)))
    results = replace(films, backup=".orig")
    assert {result.status for result in results.values()} == {"failed"}
    assert all("No space left on device" in result.error for result in results.values())
    assert contents(films) == before


def test_a_run_that_is_killed_leaves_the_old_animation_or_the_new_one(films):
    """Killed as soon as its temporary file is there; the next run removes what was left."""
    old = contents(films)
    code = (
        "import os, signal, sys; from fastkq.files import write; from fastkq.cli import main\n"
        "write._write_to_disk = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(['compress', sys.argv[1], '--in-place', '-j', '1'])"
    )
    path = films / "a.gif"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [name for name in contents(films) if name.endswith(".tmp")]
    assert len(left) == 1
    assert contents(films) == old | {left[0]: (films / left[0]).read_bytes()}
    assert cli.main(["compress", str(path), "--in-place", "-j", "1"]) == 0
    assert sorted(contents(films)) == sorted(old)
    assert len(path.read_bytes()) < len(old["a.gif"])


def test_a_backup_and_times_are_kept(folder):
    os.utime(folder / "a.png", (1_000_000_000, 1_100_000_000))
    before = contents(folder)
    replace(folder, backup=".orig", preserve=True)
    after = contents(folder)
    assert {name: after[f"{name}.orig"] for name in before} == before
    assert (folder / "a.png").stat().st_mtime == 1_100_000_000
    # Where there is a backup, nothing is replaced: it would be lost.
    shutil.copy(folder / "a.png.orig", folder / "a.png")
    result = replace(folder, backup=".orig")["a.png"]
    assert result.status == "failed"
    assert f"a.png: is not replaced, since its backup {folder}" in result.error
    assert contents(folder)["a.png"] == before["a.png"]


def test_a_backup_where_the_file_system_knows_no_second_names(folder, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(in_place.os, "link", fail)
    before = contents(folder)
    results = replace(folder, backup="~")
    assert {result.status for result in results.values()} == {"done"}
    after = contents(folder)
    assert {name: after[f"{name}~"] for name in before} == before


def test_what_is_not_replaced_is_told_and_stays(folder):
    picture().save(folder / "e.jpg", quality=100)
    shutil.copy(folder / "a.png", folder.parent / "outside.png")
    (folder / "g.png").symlink_to(folder.parent / "outside.png")
    (folder / "h.png").write_bytes(b"no image")
    before = contents(folder)
    results = replace(folder)
    errors = {name: result.error for name, result in results.items() if result.error}
    assert sorted(errors) == ["e.jpg", "g.png", "h.png"]
    for name, words in {
        "e.jpg": "a JPEG is not replaced",
        "g.png": "is a link",
        "h.png": "no image of a known format",
    }.items():
        assert words in errors[name]
        assert "\n" not in errors[name]
    after = contents(folder)
    assert all(after[name] == before[name] for name in ("e.jpg", "h.png"))
    assert (folder / "g.png").is_symlink()


@pytest.mark.parametrize("fault", ["replace", "verify", "changed"])
@pytest.mark.parametrize("kind", ["folder", "films"])
def test_a_fault_leaves_the_source_and_no_backup(request, monkeypatch, fault, kind):
    folder = request.getfixturevalue(kind)
    before = contents(folder)

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fault == "replace":
        monkeypatch.setattr(write.os, "replace", fail)
    elif fault == "verify":
        monkeypatch.setattr(write, "_check_bytes", fail)
    else:
        monkeypatch.setattr(in_place, "_facts", lambda status: object())
    results = replace(folder, backup=".orig")
    assert {result.status for result in results.values()} == {"failed"}
    words = "has changed meanwhile" if fault == "changed" else "No space left on device"
    assert all(words in result.error for result in results.values())
    assert contents(folder) == before


def test_an_animation_that_is_not_what_was_drawn_is_not_replaced(films, monkeypatch):
    monkeypatch.setattr("fastkq.animation.painter.digest", lambda seen: b"other")
    before = contents(films)
    results = replace(films, backup=".orig")
    assert {result.status for result in results.values()} == {"failed"}
    assert all("has other pixels in frame 0" in result.error for result in results.values())
    assert contents(films) == before


@pytest.mark.parametrize("fault", ["duration", "loop"])
def test_an_animation_of_another_time_or_loop_is_not_replaced(films, monkeypatch, fault):
    for kind in ("GifWriter", "ApngWriter", "WebpWriter"):
        monkeypatch.setattr(painter, kind, faulty(getattr(painter, kind), fault))
    before = contents(films)
    results = replace(films, backup=".orig")
    assert {result.status for result in results.values()} == {"failed"}
    words = "shown for" if fault == "duration" else "has the loop count"
    assert all(words in result.error for result in results.values())
    assert contents(films) == before


def test_what_is_no_smaller_stays(tmp_path):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 2, (64, 64), dtype=np.uint8) * 255)
    image.convert("1").save(tmp_path / "a.png", optimize=True)
    before = contents(tmp_path)
    assert replace(tmp_path)["a.png"].status == "no gain"
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"directory": "out", "in_place": True}, "in_place is True, and directory is given"),
        ({"suffix": "-x", "in_place": True}, "in_place is True, and name is given"),
        ({"allow_larger": True, "in_place": True}, "in_place is True, and allow_larger"),
        ({"backup": ".orig"}, "backup is '.orig'; it is for in_place"),
        ({"backup": "/../x", "in_place": True}, "a text without '/'"),
        ({"suffix": "../x"}, "a text without '/'"),
        ({"suffix": ""}, "not an empty one"),
        ({"timeout": 0}, "timeout is 0; a number over 0"),
        ({"verify": 1}, "verify is 1"),
    ],
)
def test_wrong_options(folder, options, words):
    options = {"directory": None} | options
    with pytest.raises((ValueError, TypeError), match=words):
        fastkq.compress_many([folder], **options)


def test_suffixes_of_names(folder):
    names = [
        os.path.basename(job.target) for job in plan_jobs([folder], None, name="{stem}.min{suffix}")
    ]
    assert names == ["a.min.png", "b.min.png", "c.min.png", "d.min.png"]
    names = [
        job.target for job in plan_jobs([folder], "out", name="{stem}-x{suffix}", format="webp")
    ]
    assert names[0] == os.path.join("out", "a-x.webp")


def test_the_command(folder, capsys):
    before = contents(folder)
    code = cli.main(["compress", str(folder), "--in-place", "--backup", "-k", "8", "-j", "1"])
    assert code == 0
    assert contents(folder)["a.png.orig"] == before["a.png"]
    assert "4 done" in capsys.readouterr().out
    source = str(folder / "a.png.orig")
    assert cli.main(["compress", source, "--suffix=-s", "--verify", "--durable"]) == 0
    assert (folder / "a.png-s.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--in-place", "-o", "b.png"],
        ["--in-place", "-d", "out"],
        ["--in-place", "--format", "webp"],
        ["--backup"],
        ["--suffix", "a/b"],
        ["--timeout", "0"],
        ["--max-pixels", "0"],
    ],
)
def test_wrong_usage(folder, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["compress", str(folder / "a.png"), *arguments])
    assert caught.value.code == 2
    assert "fastkq compress: " in capsys.readouterr().err


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_verified_outputs_of_every_kind(format, mode):
    image = picture(mode)
    if format == "gif" and mode in ("LA", "RGBA"):
        cut = np.array(image)
        cut[..., -1] = np.where(cut[..., -1] > 100, 255, 0)
        image = Image.fromarray(cut, mode)
    for n_colors in (2, 16, 256):
        plain = fastkq.compress(image, None, n_colors, format=format)
        assert fastkq.compress(image, None, n_colors, format=format, verify=True) == plain


@pytest.mark.parametrize("format", FORMATS)
def test_a_pixel_that_differs_is_found(format):
    result = fastkq.quantize(np.asarray(picture("RGB")), 16)
    data = result.encode(format)
    verify.check_bytes(data, result.labels, result.palette)
    wrong = result.labels.copy()
    wrong[40, 50] ^= 1
    with pytest.raises(OSError, match="decoded again, has 1 other pixels from row 0 on") as caught:
        verify.check_bytes(data, wrong, result.palette)
    assert caught.value.errno == errno.EIO
    with pytest.raises(OSError, match="has 90 x 70 pixels"):
        verify.check_bytes(data, wrong[1:], result.palette)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_wrong_file_does_not_take_the_name(tmp_path, monkeypatch, is_streamed):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    if is_streamed:
        monkeypatch.setattr("fastkq.files.rows.LARGE_PIXELS", 100)
    real = verify._compare

    def other(decoded, labels, expected, **options):
        real(decoded, labels ^ 1, expected, **options)

    monkeypatch.setattr(verify, "_compare", other)
    with pytest.raises(OSError, match="decoded again"):
        fastkq.compress(np.asarray(picture()), target, 16, verify=True)
    assert contents(tmp_path) == {"a.png": b"old"}
    monkeypatch.setattr(verify, "_compare", real)
    fastkq.compress(np.asarray(picture()), target, 16, verify=True)
    assert target.read_bytes() != b"old"


def test_durable_outputs_are_on_the_disk_before_and_after_their_renaming(tmp_path, monkeypatch):
    calls = []
    sync, rename = os.fsync, os.replace

    def fsync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append("folder" if is_folder else "file")
        sync(descriptor)

    def replaced(*paths):
        calls.append("rename")
        rename(*paths)

    monkeypatch.setattr(write.os, "fsync", fsync)
    monkeypatch.setattr(write.os, "replace", replaced)
    fastkq.compress(np.asarray(picture()), tmp_path / "a.png", 16, durable=True)
    assert calls == ["file", "rename", "folder"]
    fastkq.compress(np.asarray(picture()), tmp_path / "a.png", 16)
    assert calls[3:] == ["rename"]
