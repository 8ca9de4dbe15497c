"""What would not be smaller than its source: not written, and copied where that is asked for."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.batch.plan import plan_jobs
from fastkq.cli import main
from fastkq.files import rows


@pytest.fixture
def noise(tmp_path):
    """A JPEG that no palette makes smaller."""
    path = tmp_path / "in" / "noise.jpg"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=5)
    return path


def smooth(path, suffix):
    y, x = np.mgrid[:60, :90]
    image = np.stack([2 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    Image.fromarray(image).save(path.with_suffix(suffix))


def run(*arguments, **options):
    return list(fastkq.compress_many(*arguments, **({"jobs": 1} | options)))


# --- One image


def test_a_larger_file_is_not_written_unless_allowed(noise, tmp_path):
    target = tmp_path / "out.png"
    report = fastkq.compress(noise, target)
    assert not report.written
    assert not target.exists()
    assert report.source_bytes == noise.stat().st_size < report.target_bytes
    assert report.saving < 0
    allowed = fastkq.compress(noise, target, allow_larger=True)
    assert allowed.written
    assert target.stat().st_size == report.target_bytes
    target.write_bytes(b"mine")
    assert not fastkq.compress(noise, target).written
    assert target.read_bytes() == b"mine"
    assert fastkq.compress(noise, target, 2).written
    with pytest.raises(TypeError, match="allow_larger is 1"):
        fastkq.compress(noise, target, allow_larger=1)


def test_a_file_of_equal_size_is_not_written(noise, tmp_path):
    n_bytes = len(fastkq.compress(noise))
    equal = tmp_path / "equal.jpg"
    data = noise.read_bytes()
    for n_more, written in ((0, False), (1, True)):
        equal.write_bytes(data + bytes(n_bytes - len(data) + n_more))  # JPEG ends before that
        assert fastkq.compress(equal, tmp_path / "out.png").written is written


def test_bytes_and_file_objects_are_sources_with_a_size(noise, tmp_path):
    data, target = noise.read_bytes(), tmp_path / "out.png"
    for image in (data, io.BytesIO(data)):
        assert not fastkq.compress(image, target).written
        assert not target.exists()


def test_arrays_and_pil_images_have_no_file_to_compare_with(noise, tmp_path):
    with Image.open(noise) as image:
        for source in (image, np.asarray(image)):
            assert fastkq.compress(source, tmp_path / "out.png").written
        array = np.dstack([np.asarray(image), np.full((64, 64), 200, np.uint8)])
    for options in ({"background": "#ffffff"}, {"transparent": "bleed"}):
        assert fastkq.compress(array, tmp_path / "out.png", **options).written


def test_what_is_handed_back_or_over_always_has_the_picture(noise):
    data = fastkq.compress(noise.read_bytes())
    assert len(data) > noise.stat().st_size
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (64, 64)
    buffer = io.BytesIO()
    assert fastkq.compress(noise, buffer).written
    assert buffer.getvalue() == data


def test_an_image_that_is_streamed_is_kept_back_as_well(noise, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    target = tmp_path / "out.png"
    report = fastkq.compress(noise, target)
    assert not report.written
    assert os.listdir(tmp_path) == ["in"]
    assert fastkq.compress(noise, target, allow_larger=True).target_bytes == report.target_bytes
    assert target.stat().st_size == report.target_bytes


# --- Batches


@pytest.mark.parametrize("large_pixels", [rows.LARGE_PIXELS, 64])
def test_what_is_not_written_has_its_score_all_the_same(noise, tmp_path, monkeypatch, large_pixels):
    monkeypatch.setattr(rows, "LARGE_PIXELS", large_pixels)
    report = fastkq.compress(noise, tmp_path / "out.png", score=True)
    assert not report.written
    written = fastkq.compress(noise, tmp_path / "out.png", score=True, allow_larger=True)
    assert report.score == written.score == fastkq.ssimulacra2(noise, tmp_path / "out.png")


def test_batches_write_larger_files_where_that_is_allowed(noise, tmp_path):
    out = tmp_path / "out"
    (result,) = run(noise, out, allow_larger=True)
    assert result.status == "done"
    assert result.target_bytes == os.path.getsize(out / "noise.png") > result.source_bytes
    with pytest.raises(ValueError, match=r"allow_larger is True, and min_savings is 0\.1"):
        run(noise, out, allow_larger=True, min_savings=0.1)


@pytest.fixture
def folder(noise):
    """A folder with a gain, without, a gain out of reach, a file of our own and a broken one."""
    smooth(noise.parent / "smooth", ".bmp")
    pixels = np.asarray(Image.open(noise))
    Image.fromarray(pixels).save(noise.parent / "noise2.png")
    fastkq.compress(noise, noise.parent / "own.png", 4, allow_larger=True)
    (noise.parent / "broken.jpg").write_bytes(noise.read_bytes()[:300])
    return noise.parent


def test_a_folder_without_holes(folder, tmp_path):
    out, report = tmp_path / "out", tmp_path / "run.jsonl"
    results = run(folder, out, copy_unchanged=True, report=report)
    assert {Path(r.source).name: (r.status, r.copy) for r in results} == {
        "broken.jpg": ("failed", None),
        "noise.jpg": ("no gain", str(out / "noise.jpg")),
        "noise2.png": ("done", None),
        "own.png": ("skipped: own output", str(out / "own.png")),
        "smooth.bmp": ("done", None),
    }
    assert sorted(os.listdir(out)) == ["noise.jpg", "noise2.png", "own.png", "smooth.png"]
    for name in ("noise.jpg", "own.png"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()

    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    lines = report.read_bytes()
    for options in ({}, {"report": report}):
        again = run(folder, out, copy_unchanged=True, **options)
        statuses = {Path(r.source).name: r.status for r in again}
        assert statuses["noise.jpg"] == ("no gain" if options else "skipped: exists")
        assert statuses["own.png"] == "skipped: exists"
        assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert report.read_bytes() == lines


def test_a_run_that_was_killed_around_a_copy_makes_it_and_its_line(folder, tmp_path):
    out, report = tmp_path / "out", tmp_path / "run.jsonl"
    run(folder, out, copy_unchanged=True, report=report)
    lines = report.read_text().splitlines(keepends=True)
    # Without its copy, without its line, and with neither.
    for keep_copy, keep_line in ((False, True), (True, False), (False, False)):
        if not keep_copy:
            (out / "noise.jpg").unlink()
        if not keep_line:
            report.write_text("".join(line for line in lines if "noise.jpg" not in line))
        run(folder, out, copy_unchanged=True, report=report)
        assert (out / "noise.jpg").read_bytes() == (folder / "noise.jpg").read_bytes()
        found = [json.loads(line) for line in report.read_text().splitlines()]
        last = [line for line in found if line["source"].endswith("noise.jpg")][-1]
        assert (last["status"], last["copy"]) == ("no gain", str(out / "noise.jpg"))


def test_a_report_without_copies_decides_nothing_for_a_run_with_them(noise, tmp_path):
    out, report = tmp_path / "out", tmp_path / "run.jsonl"
    run(noise, out, report=report)
    assert not out.exists()
    (result,) = run(noise, out, report=report, copy_unchanged=True)
    assert (result.status, os.listdir(out)) == ("no gain", ["noise.jpg"])


def test_short_of_a_target_the_source_is_copied(folder, tmp_path):
    out = tmp_path / "out"
    (result,) = run(folder / "noise2.png", out, 8, quality=(99, 100), copy_unchanged=True)
    assert (result.status, result.copy) == ("target not reached", str(out / "noise2.png"))
    assert (out / "noise2.png").read_bytes() == (folder / "noise2.png").read_bytes()


def test_a_file_that_stands_where_the_copy_would_go_is_left_alone(noise, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "noise.jpg").write_bytes(b"mine")
    (result,) = run(noise, out, copy_unchanged=True)
    assert (result.status, result.copy) == ("skipped: exists", None)
    assert (out / "noise.jpg").read_bytes() == b"mine"
    (forced,) = run(noise, out, copy_unchanged=True, overwrite=True)
    assert (forced.status, forced.copy) == ("no gain", str(out / "noise.jpg"))
    assert (out / "noise.jpg").read_bytes() == noise.read_bytes()


def test_a_source_in_the_folder_of_the_outputs_is_no_copy(noise):
    before = noise.read_bytes()
    for overwrite in (False, True):
        (result,) = run(noise, noise.parent, copy_unchanged=True, overwrite=overwrite)
        assert (result.status, result.copy) == ("no gain", None)
        assert os.listdir(noise.parent) == ["noise.jpg"]
        assert noise.read_bytes() == before


def test_copies_have_names_of_their_own(tmp_path):
    for name in ("a/x.jpg", "b/x.jpg", "a/x.png", "a/y.tif", "out/y.tif", "a/Z.PNG", "a/n"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    sources = ["a/x.jpg", "b/x.jpg", "a/x.png", "a/y.tif", "out/y.tif", "a/Z.PNG", "a/n"]
    out = tmp_path / "out"
    jobs = plan_jobs([tmp_path / name for name in sources], out, copies=True)
    assert [(Path(j.target).name, j.copy and Path(j.copy).name) for j in jobs] == [
        ("x.jpg.png", "x.jpg"),
        ("x.jpg-2.png", "x.jpg-2.jpg"),
        ("x.png.png", "x.png.png"),
        ("y.tif.png", "y.tif.tif"),  # its own name is that of the next source
        ("y.tif-2.png", None),  # it is there
        ("Z.png", "Z.png"),
        ("n.png", "n"),
    ]
    places = [place for job in jobs for place in {job.target, job.copy} if place]
    assert len({place.casefold() for place in places}) == len(places)
    assert not {str(tmp_path / name) for name in sources} & set(places)
    assert plan_jobs([tmp_path / "a/x.jpg"], out) == plan_jobs(
        [tmp_path / "a/x.jpg"], out, copies=True
    )
    with pytest.raises(ValueError, match="directory is None"):
        plan_jobs(["a.jpg"], None, copies=True)


def test_copies_from_the_command_line(folder, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["compress", str(folder), "-d", str(out), "--copy-unchanged", "-j", "1"]
    assert main([*command, "--dry-run"]) == 0
    capsys.readouterr()
    assert main(command) == 1  # one is broken
    told = capsys.readouterr().out
    assert f"; no gain, copied to {out / 'noise.jpg'}\n" in told
    assert f"skipped: own output, copied to {out / 'own.png'}\n" in told
    assert "1 failed, 2 sources copied; " in told
    assert main([*command, "--json"]) == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])["summary"]
    assert (summary["copied"], summary["skipped"]) == (0, 4)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--copy-unchanged"], "--copy-unchanged needs -d"),
        (["-d", "x", "--allow-larger", "--min-savings", "5%"], "exclude each other"),
    ],
)
def test_wrong_usage(noise, capsys, flags, words):
    with pytest.raises(SystemExit, match="2"):
        main(["compress", str(noise), *flags])
    assert words in capsys.readouterr().err
