"""The command for many images, and for streams."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from commands import run
from PIL import Image

import fastkq
from fastkq.files.palettes import read_palette


def command(*arguments):
    return [sys.executable, "-m", "fastkq", *map(str, arguments)]


def start(*arguments, **options):
    """Run a command as a process of its own."""
    options = {"capture_output": True, "text": True} | options
    return subprocess.run(command(*arguments), check=False, **options)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.bmp", "below/c.png"):
        coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((90, 60)).save(folder / name)
    return folder


def test_lines_and_a_summary(photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"bad")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "noise.jpg", quality=5)
    out = tmp_path / "out"
    result = run("compress", photos, "-d", out, "-k", 8, "-j", 1)
    assert result.returncode == 1
    assert result.stderr.startswith(f"fastkq: {photos}/bad.jpg: is no image of a known format")
    assert len(result.stderr.splitlines()) == 1
    first, second, noisy, summary = result.stdout.splitlines()
    sizes = r"[\d.]+ kB -> [\d.]+ kB \(\d+% saved\), PSNR \d+\.\d dB, 8 colors, \d+\.\d\d s"
    assert re.fullmatch(rf"{photos}/a\.png -> {out}/a\.png: {sizes}", first)
    assert second.startswith(f"{photos}/b.bmp -> {out}/b.png: ")
    assert noisy.endswith("no gain, not written")
    assert re.fullmatch(
        r"4 images: 2 done, 1 without gain, 0 skipped, 1 failed; 0\.0 MB saved, "
        r"\d+\.\d MP/s, \d+\.\d s",
        summary,
    )
    assert sorted(os.listdir(out)) == ["a.png", "b.png"]


def test_all_good_is_exit_code_0_and_quiet_is_silent(photos, tmp_path):
    result = start("compress", photos, "-r", "-d", tmp_path / "out", "-q", "-j", 2)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png", "below"]
    result = run("compress", photos, "-r", "-d", tmp_path / "out", "-j", 2)
    assert result.returncode == 0
    assert "3 images: 0 done, 0 without gain, 3 skipped, 0 failed" in result.stdout


def test_json_lines(photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"bad")
    result = run("compress", photos, "-d", tmp_path / "out", "--json", "-j", 1, "-k", 4)
    assert (result.returncode, result.stderr) == (1, "")
    *lines, summary = map(json.loads, result.stdout.splitlines())
    assert [line["status"] for line in lines] == ["done", "done", "failed"]
    assert lines[0]["target_bytes"] == os.path.getsize(tmp_path / "out" / "a.png")
    assert "bad.jpg" in lines[2]["error"]
    totals = summary["summary"]
    assert (totals["images"], totals["done"], totals["failed"]) == (3, 2, 1)
    assert totals["bytes_saved"] == sum(
        line["source_bytes"] - line["target_bytes"] for line in lines[:2]
    )
    one = run("compress", photos / "a.png", "-o", tmp_path / "one.png", "--json", "-k", 4)
    assert json.loads(one.stdout)["target_bytes"] == lines[0]["target_bytes"]


def test_a_dry_run_tells_and_does_nothing(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").touch()
    report = tmp_path / "run.jsonl"
    result = run("compress", photos, "-r", "-d", out, "--dry-run", "--report", report)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"{photos}/a.png -> {out}/a.png: to do",
        f"{photos}/b.bmp -> {out}/b.png: skipped: exists",
        f"{photos}/below/c.png -> {out}/below/c.png: to do",
    ]
    assert os.listdir(out) == ["b.png"]
    assert not report.exists()


@pytest.mark.parametrize("stdin", [True, False])
def test_files_from(photos, tmp_path, stdin):
    text = f"{photos}/a.png\n\n{photos}/below\n"
    names = tmp_path / "names.txt"
    names.write_text(text)
    arguments = ["compress", photos / "b.bmp", "-d", tmp_path / "out", "-q", "-j", 1]
    result = run(*arguments, "--files-from", "-" if stdin else names, stdin=text)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png", "c.png"]


def test_file_names_that_are_no_text(photos, tmp_path):
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    try:
        with open(folder + b"/\xff.png", "wb") as file:
            file.write((photos / "a.png").read_bytes())
    except OSError:
        pytest.skip("this file system wants names that are text")
    with open(folder + b"/\xfe.png", "wb") as file:
        file.write(b"bad")
    arguments = ["-d", tmp_path / "out", "-j", 2, "--report", tmp_path / "run.jsonl"]
    environment = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"}
    result = start("compress", tmp_path / "odd", *arguments, env=environment)
    assert result.returncode == 1
    assert "udcff.png -> " in result.stdout
    assert "udcfe.png: is no image" in result.stderr
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"\xff.png"]
    # The names come back as they are: from the report, and from a list.
    listed = tmp_path / "list"
    listed.write_bytes(folder + b"/\xff.png\r\n")
    again = start("compress", "--files-from", listed, *arguments, env=environment)
    assert (again.returncode, again.stderr) == (0, "")
    assert "1 skipped" in again.stdout
    assert len((tmp_path / "run.jsonl").read_bytes().splitlines()) == 2


def test_fail_fast_and_min_savings(photos, tmp_path):
    bad = photos / "bad.jpg"
    bad.write_bytes(b"bad")
    sources = [bad, photos / "a.png"]
    result = run("compress", *sources, "-d", tmp_path / "out", "--fail-fast", "-j", 1)
    assert result.returncode == 1
    assert not (tmp_path / "out").exists()
    result = run("compress", photos / "a.png", "-d", tmp_path / "out", "--min-savings", "99%")
    assert result.returncode == 0
    assert "no gain, not written" in result.stdout
    assert not (tmp_path / "out").exists()


def test_a_report_that_is_a_photo_is_refused(photos, tmp_path):
    before = (photos / "a.png").read_bytes()
    result = run("compress", photos, "-d", tmp_path / "out", "--report", photos / "a.png")
    assert result.returncode == 1
    assert "a.png: line 1 is not of a report" in result.stderr
    assert (photos / "a.png").read_bytes() == before


def test_standard_input_and_output(photos, tmp_path):
    source = photos / "a.png"
    expected = tmp_path / "expected.png"
    fastkq.compress(source, expected, 4)
    streams = {"text": False, "stdin": source.read_bytes()}
    for arguments in (["-"], ["-", "-o", "-"], [source, "-o", "-"]):
        result = run("compress", *arguments, "-k", 4, **streams)
        assert result.returncode == 0
        assert result.stdout == expected.read_bytes()
        assert b"4 colors" in result.stderr
    result = run("compress", "-", "-k", 4, "-o", tmp_path / "out.png", "-q", **streams)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert (tmp_path / "out.png").read_bytes() == expected.read_bytes()
    result = run("compress", "-", text=False, stdin=b"")
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"is empty" in result.stderr


def test_a_palette_for_a_brand(photos, tmp_path):
    gpl = tmp_path / "brand.gpl"
    result = run("palette", photos, "-r", "-o", gpl, "-k", 5, "-j", 1)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{gpl}: 5 colors of 3 images\n"
    again = run("palette", photos, "-o", gpl)
    assert again.returncode == 1
    assert "exists; --force overwrites it" in again.stderr

    for name, arguments in (
        ("given", ["--palette", gpl]),
        ("shared", ["--shared-palette", "-k5", "--lossy", "0"]),
    ):
        out = tmp_path / name
        assert run("compress", photos, "-r", "-d", out, "-q", "-j", 1, *arguments).returncode == 0
    for name in ("a.png", "b.png", "below/c.png"):
        given = (tmp_path / "given" / name).read_bytes()
        assert given == (tmp_path / "shared" / name).read_bytes()
        with Image.open(io.BytesIO(given)) as image:
            colors = np.array(image.getpalette()[:15]).reshape(5, 3).tolist()
    assert [line.split("\t")[0].split() for line in gpl.read_text().splitlines()[4:]] == [
        [str(level) for level in color] for color in colors
    ]


def test_a_palette_tells_of_what_it_cannot_read(photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"bad")
    result = run("palette", photos, "-o", tmp_path / "brand.gpl", "-k", 2, "-j", 1)
    assert result.returncode == 1
    assert "bad.jpg" in result.stderr
    assert result.stdout.endswith("2 colors of 2 images\n")


def test_a_terminal_sees_a_bar_and_the_failures(photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"bad")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    result = start(
        *("compress", photos, "-d", tmp_path / "out", "-j", 1),
        capture_output=False,
        stderr=theirs,
        stdout=theirs,
    )
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:  # Linux: nobody writes any more
        pass
    os.close(ours)
    assert result.returncode == 1
    text = told.decode()
    assert "/3 [" in text
    assert " MB saved" in text
    assert "bad.jpg: is no image of a known format" in text
    assert "a.png ->" not in text
    assert text.rstrip().splitlines()[-1].startswith("3 images: 2 done")


@pytest.mark.slow
def test_an_interrupt_ends_it_with_130_and_it_goes_on(photos, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        coarse = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((600, 450)).save(photos / f"{number}.bmp")
    report = tmp_path / "run.jsonl"
    arguments = ["compress", photos, "-d", tmp_path / "out", "-q", "-j", 2, "--report", report]
    with subprocess.Popen(
        command(*arguments),
        stderr=subprocess.PIPE,
        text=True,
        # Shells have their background jobs ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        while not (report.exists() and report.read_bytes().count(b"\n") >= 3):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert len(os.listdir(tmp_path / "out")) < 26
    assert start(*arguments).returncode == 0
    assert len(os.listdir(tmp_path / "out")) == len(report.read_bytes().splitlines()) == 26
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]


@pytest.mark.parametrize("suffix", [".act", ".hex", ".json"])
def test_a_palette_in_other_formats_and_with_locked_colors(photos, tmp_path, suffix):
    brand = tmp_path / f"brand{suffix}"
    made = run("palette", photos, "-o", brand, "-k", 5, "-j", 1, "--lock", "0102ff")
    assert (made.returncode, made.stderr) == (0, "")
    colors = read_palette(brand)
    assert (len(colors), colors[0].tolist()) == (5, [1, 2, 255])


def test_locked_and_protected_colors_in_a_batch(photos, tmp_path):
    options = ["-k", 6, "-j", 1, "--lock", "0102ff", "--protect", "--min-savings", "0%"]
    run("compress", photos, "-d", tmp_path / "out", *options)
    outputs = list((tmp_path / "out").glob("*.png"))
    assert len(outputs) == 2
    for output in outputs:
        assert read_palette(output)[0].tolist() == [1, 2, 255]
    refused = run("compress", photos, "-d", tmp_path / "x", "--shared-palette", "--protect")
    assert refused.returncode == 1
    assert "protect is for a palette fitted to one image" in refused.stderr


def test_several_sources_without_a_directory(photos, tmp_path):
    """Each output goes beside its source, as that of one does."""
    sources = [photos / "a.png", photos / "b.bmp", photos / "below"]
    result = run("compress", *sources, "-k", 8, "-j", 1)
    assert (result.returncode, result.stderr) == (0, "")
    *told, summary = result.stdout.splitlines()
    targets = [photos / name for name in ("a-fastkq.png", "b-fastkq.png", "below/c-fastkq.png")]
    assert [line.split(": ")[0].split(" -> ")[1] for line in told] == list(map(str, targets))
    assert summary.startswith("3 images: 3 done, 0 without gain, 0 skipped, 0 failed; ")
    one = run("compress", sources[0], "-k", 8, "-q", "-o", tmp_path / "one.png")
    assert one.returncode == 0
    assert targets[0].read_bytes() == (tmp_path / "one.png").read_bytes()
    again = run("compress", *photos.glob("*.*"), "-k", 8, "-j", 1)
    assert "4 images: 0 done, 0 without gain, 4 skipped, 0 failed; " in again.stdout
    assert len(list(photos.glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("option", "status"), [(["--min-savings", "0"], "no gain"), (["--report", "r"], "no gain")]
)
def test_an_option_for_many_makes_many_of_one(tmp_path, monkeypatch, option, status):
    """So `--min-savings 0` means what it says: what saves nothing is not written."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=5)
    monkeypatch.chdir(tmp_path)
    result = run("compress", "noise.jpg", *option)
    assert result.returncode == 0
    assert f"{status}, not written" in result.stdout
    assert not (tmp_path / "noise-fastkq.png").exists()


@pytest.mark.parametrize(
    "encode",
    [
        lambda names: b"".join(name.encode() + b"\0" for name in names),
        lambda names: b"\xef\xbb\xbf" + "\r\n".join(names).encode(),
        lambda names: "\n".join(names).encode("utf-16"),
        lambda names: b"\xef\xbb\xbf" + b"\0".join(name.encode() for name in names),
    ],
)
def test_lists_with_nuls_and_byte_order_marks(photos, tmp_path, encode):
    odd = photos / "b\u00fc.bmp"
    (photos / "b.bmp").rename(odd)
    data = encode([str(photos / "a.png"), str(odd)])
    arguments = ["compress", "--files-from", "-", "-d", tmp_path / "out", "-q", "-j", 1, "-k", 4]
    result = run(*arguments, stdin=data, text=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b\u00fc.png"]


def test_names_with_line_breaks_are_one_line(photos, tmp_path):
    """From a NUL-separated list, as `find -print0` makes it."""
    good, bad = photos / "new\nline \x1b[31m.bmp", photos / "bad\n.jpg"
    (photos / "b.bmp").rename(good)
    bad.write_bytes(b"bad")
    arguments = ["--files-from", "-", "-d", tmp_path / "out", "-j", 1, "-k", 4]
    result = run("compress", *arguments, stdin=f"{good}\0{bad}\0")
    (told, _), (failed,) = result.stdout.splitlines(), result.stderr.splitlines()
    name = str(photos / r"new\nline \x1b[31m.bmp")
    assert told.startswith(f"{name} -> {tmp_path / 'out' / name[len(str(photos)) + 1 : -4]}.png: ")
    assert failed.startswith("fastkq: ")
    assert "is no image of a known format" in failed
    (dry,) = run("compress", *arguments, "--dry-run", stdin=f"{good}\0").stdout.splitlines()
    assert dry.startswith(f"{name} -> ")


@pytest.mark.slow
def test_the_first_run_of_a_batch_compiles_once_and_tells(photos, tmp_path):
    """Before its workers start: they find all kernels in the cache."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    ours, theirs = pty.openpty()
    arguments = ["compress", photos, "-r", "-d", tmp_path / "out", "-q", "-j", 2, "-k", 4]
    result = start(*arguments, env=environment, capture_output=False, stderr=theirs)
    os.close(theirs)
    told = os.read(ours, 4096).decode()
    os.close(ours)
    assert result.returncode == 0
    assert told.count("compiling kernels, once on this machine") == 1
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.nb?")}
    assert start(*arguments, "--force", env=environment).stderr == ""
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.nb?")
    } == written


@pytest.mark.slow
def test_workers_find_the_kernels_that_were_prepared(photos, tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    code = (
        "from fastkq.install.first_run import prepare_kernels\n"
        "prepare_kernels(lambda: print('told'), ['masking', 'lossy'])\n"
    )
    prepared = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert prepared.stdout == "told\n"
    before = sorted((tmp_path / "cache").rglob("*.nb?"))
    arguments = ["compress", photos, "-r", "-d", tmp_path / "out", "-q", "-j", 2, "-k", 4]
    assert start(*arguments, env=environment).returncode == 0
    assert sorted((tmp_path / "cache").rglob("*.nb?")) == before
