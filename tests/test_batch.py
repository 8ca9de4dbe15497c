"""Batches: what goes where, one bad image among good ones, resuming, the report, palettes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.batch.job import JobOptions
from fastkq.batch.plan import Job, plan_jobs, remove_leftovers
from fastkq.batch.shared import sum_histograms
from fastkq.files.palettes import write_palette
from fastkq.options import check_options

KILL_AND_RESUME = Path(__file__).parents[1] / "scripts" / "kill_and_resume.py"


def smooth(seed, size=(90, 60)):
    """A small picture that an indexed PNG makes smaller."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path):
    """A folder of three pictures, one of them below, one broken file and one that is no image."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    smooth(0).save(folder / "a.png")
    smooth(1).save(folder / "b.bmp")
    smooth(2).save(folder / "below" / "c.tif")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "notes.txt").write_text("no image")
    return folder


def files(folder):
    """The files below a folder, hidden ones too, with their contents."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def compress(*arguments, **options):
    """The results, in the order of their sources."""
    results = fastkq.compress_many(*arguments, **({"jobs": 1} | options))
    return sorted(results, key=lambda result: result.source)


def statuses(results):
    return {Path(result.source).name: result.status for result in results}


def names(jobs, out):
    return [(Path(job.source).name, os.path.relpath(job.target, out)) for job in jobs]


def test_a_folder_keeps_its_tree_and_other_files_are_left_alone(photos, tmp_path):
    out = tmp_path / "out"
    assert names(plan_jobs([photos], out), out) == [
        ("a.png", "a.png"),
        ("b.bmp", "b.png"),
        ("bad.jpg", "bad.png"),
    ]
    assert names(plan_jobs([photos], out, recursive=True), out)[3:] == [("c.tif", "below/c.png")]
    assert not out.exists()


def test_the_directory_may_not_be_a_file(photos):
    with pytest.raises(NotADirectoryError, match=r"a.png: is not a directory"):
        plan_jobs([photos], photos / "a.png")


def test_globs_and_files(photos, tmp_path):
    out = tmp_path / "out"
    assert names(plan_jobs([f"{photos}/*.[bt]*"], out), out) == [
        ("b.bmp", "b.png"),
        ("notes.txt", "notes.png"),
    ]
    found = names(plan_jobs([f"{photos}/**/*.tif"], out, recursive=True), out)
    assert found == [("c.tif", "below/c.png")]
    # A file once, though it is named twice; one that is missing, to fail later.
    sources = [photos / "b.bmp", f"{photos}/below/../b.bmp", photos / "none.jpg", f"{photos}/*.gif"]
    assert [target for _, target in names(plan_jobs(sources, out), out)] == [
        "b.png",
        "none.png",
        "*.png",
    ]


def test_no_two_sources_share_a_target():
    sources = ["x/a.jpg", "x/a.webp", "y/A.jpg", "y/a.jpg.png", "b.jpg"]
    jobs = plan_jobs(sources, "out")
    targets = [job.target for job in jobs]
    assert targets[:2] == [os.path.join("out", name) for name in ("a.jpg.png", "a.webp.png")]
    assert targets[-1] == os.path.join("out", "b.png")
    assert len({target.casefold() for target in targets}) == len(sources)


def test_no_target_is_a_source(photos):
    jobs = plan_jobs([photos], photos)
    assert names(jobs, photos)[0] == ("a.png", "a.png-2.png")
    assert not {job.target for job in jobs} & {job.source for job in jobs}


def test_the_output_below_the_source_is_no_source(photos):
    out = photos / "out"
    first = plan_jobs([photos], out, recursive=True)
    compress([photos], out, recursive=True)
    assert (out / "a.png").exists()
    assert plan_jobs([photos], out, recursive=True) == first
    assert len(plan_jobs([f"{photos}/**"], out, recursive=True)) == len(first) + 1  # notes.txt


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_image_is_one_result(photos, tmp_path, jobs):
    out = tmp_path / "out"
    results = compress([photos], out, 8, recursive=True, jobs=jobs)
    assert statuses(results) == {
        "a.png": "done",
        "b.bmp": "done",
        "bad.jpg": "failed",
        "c.tif": "done",
    }
    assert "bad.jpg: cannot be decoded" in results[2].error
    assert sorted(files(out)) == ["a.png", "b.png", "below/c.png"]
    for result in results:
        if result.status == "done":
            expected = tmp_path / "expected.png"
            report = fastkq.compress(result.source, expected, 8)
            assert Path(result.target).read_bytes() == expected.read_bytes()
            assert result.target_bytes == report.target_bytes == os.path.getsize(result.target)
            assert result.source_bytes == os.path.getsize(result.source)
            assert (result.n_colors, result.pixels, result.psnr) == (8, 5400, report.psnr)


def test_what_does_not_save_enough_is_not_written(photos, tmp_path):
    out = tmp_path / "out"
    (result,) = compress(photos / "a.png", out, 8)
    saving = 1 - result.target_bytes / result.source_bytes
    assert 0 < saving < 0.99
    (more,) = compress(photos / "a.png", tmp_path / "more", 8, min_savings=saving + 0.001)
    assert (more.status, more.target_bytes) == ("no gain", result.target_bytes)
    assert not (tmp_path / "more").exists()
    (same,) = compress(photos / "a.png", tmp_path / "same", 8, min_savings=saving - 0.001)
    assert same.status == "done"


def test_a_larger_output_is_never_written(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=5)
    (result,) = compress(tmp_path / "noise.jpg", tmp_path / "out")
    assert result.status == "no gain"
    assert result.target_bytes > result.source_bytes


def test_existing_targets_and_own_output_are_skipped(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"mine")
    compress(photos / "b.bmp", photos / "own")  # own output among the sources
    results = compress([photos], out, recursive=True)
    assert [(r.status, r.source[-9:]) for r in results if r.source.endswith("b.png")] == [
        ("skipped: own output", "own/b.png")
    ]
    assert statuses(results)["a.png"] == "skipped: exists"
    assert (out / "a.png").read_bytes() == b"mine"
    (forced,) = compress(photos / "a.png", out, overwrite=True)
    assert forced.status == "done"
    assert (out / "a.png").read_bytes().startswith(b"\x89PNG")


def test_fail_fast_stops(photos, tmp_path):
    sources = [photos / name for name in ("a.png", "bad.jpg", "b.bmp")]
    results = list(fastkq.compress_many(sources, tmp_path / "out", jobs=1, fail_fast=True))
    assert [result.status for result in results] == ["done", "failed"]
    assert sorted(files(tmp_path / "out")) == ["a.png"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n_colors": 0}, ValueError, "n_colors is 0"),
        ({"effort": "great"}, ValueError, "effort is 'great'"),
        ({"min_savings": 5}, ValueError, "min_savings is 5"),
        ({"jobs": 0}, ValueError, "jobs is 0"),
        ({"palette": "none.gpl"}, FileNotFoundError, "none.gpl: no such file"),
        ({"palette": [[1, 2]]}, ValueError, "palette has shape"),
        ({"locked": [[1, 2]]}, ValueError, "locked has shape"),
        ({"protect": "yes"}, TypeError, "protect is 'yes'; True or False is allowed"),
        (
            {"palette": [[1, 2, 3]], "protect": True},
            ValueError,
            "palette is given, and protect; only palettes",
        ),
        (
            {"palette": [[1, 2, 3]], "locked": [[0, 0, 0]]},
            ValueError,
            "palette is given, and locked",
        ),
        ({"palette": "shared", "protect": True}, ValueError, "palette is 'shared'; protect is for"),
    ],
)
def test_wrong_options_are_errors_at_once(photos, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        fastkq.compress_many([photos], tmp_path / "out", **options)


# --- The report, and going on


def lines(report):
    return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


def lasting(report):
    """What a report says of each source, times left out."""
    found = lines(report)
    for line in found:
        del line["seconds"]
    assert len({line["source"] for line in found}) == len(found)
    return sorted(found, key=lambda line: line["source"])


def test_the_report_has_a_line_an_image(photos, tmp_path):
    report = tmp_path / "run.jsonl"
    results = compress([photos], tmp_path / "out", 8, report=report)
    expected = [
        result.to_dict()
        | {"settings": "8 colors, balanced, oklab, masking, lossy 20, min_savings 0"}
        for result in results
    ]
    assert sorted(lines(report), key=lambda line: line["source"]) == expected


def test_a_repeated_run_does_only_what_is_missing(photos, tmp_path, monkeypatch):
    """As after a kill: a target without a line, a torn line, half a file, a failure, no gain."""
    out, report = tmp_path / "out", tmp_path / "run.jsonl"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "noise.jpg", quality=5)
    options = {"recursive": True, "report": report}
    compress([photos], out, 8, **options)
    tree, whole = files(out), lasting(report)

    kept = report.read_bytes().splitlines(keepends=True)
    of = {Path(json.loads(line)["source"]).name: line for line in kept}
    torn = of["b.bmp"][:-30]
    report.write_bytes(of["a.png"] + of["bad.jpg"] + of["noise.jpg"] + torn)
    (out / "below" / "c.png").unlink()
    (out / "below" / ".c.png.0123abcd.tmp").write_bytes(b"half")

    ran = []
    from fastkq.batch import run as batch

    run_job = batch.run_job
    monkeypatch.setattr(
        batch, "run_job", lambda job, options: ran.append(job.source) or run_job(job, options)
    )
    results = compress([photos], out, 8, **options)
    assert sorted(Path(source).name for source in ran) == ["b.bmp", "bad.jpg", "c.tif"]
    assert statuses(results) == {
        "a.png": "skipped: exists",
        "b.bmp": "done",
        "bad.jpg": "failed",
        "c.tif": "done",
        "noise.jpg": "no gain",
    }
    assert files(out) == tree
    assert lasting(report) == whole


def test_a_report_decides_only_for_its_settings_and_the_same_source(tmp_path):
    report, out = tmp_path / "run.jsonl", tmp_path / "out"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    source = tmp_path / "noise.jpg"
    Image.fromarray(noise).save(source, quality=5)
    assert compress(source, out, report=report)[0].status == "no gain"
    assert compress(source, out, 2, report=report)[0].status == "done"
    # A target of other settings is not replaced.
    assert compress(source, out, 4, report=report)[0].status == "skipped: exists"

    other = tmp_path / "other.jsonl"
    assert compress(source, tmp_path / "new", report=other)[0].status == "no gain"
    smooth(0, (800, 600)).save(source, quality=100)
    assert compress(source, tmp_path / "new", 16, report=other)[0].status == "done"


def test_a_target_that_came_meanwhile_is_not_replaced(photos, tmp_path, monkeypatch):
    """Another run may write it; the same bytes are those of a worker that could not tell."""
    out = tmp_path / "out"
    compress([photos / "a.png", photos / "b.bmp"], tmp_path / "expected", 8)
    results = fastkq.compress_many([photos / "a.png", photos / "b.bmp"], out, 8, jobs=1)
    from fastkq.batch import job as module

    open_any = module.open_any

    def write_first(source, options):
        out.mkdir(exist_ok=True)
        name = Path(source).with_suffix(".png").name
        same = (tmp_path / "expected" / name).read_bytes()
        (out / name).write_bytes(same if name == "a.png" else b"mine")
        return open_any(source, options)

    monkeypatch.setattr(module, "open_any", write_first)
    assert statuses(results) == {"a.png": "done", "b.bmp": "skipped: exists"}
    assert (out / "b.png").read_bytes() == b"mine"


def test_a_source_that_vanishes_is_one_result(photos, tmp_path, monkeypatch):
    """Between the look at it and its reading, also where its target is not reached."""
    from fastkq.batch import job as module

    for options in ({}, {"max_bytes": 1}):
        smooth(5).save(photos / "gone.png")
        compress_any = module.compress_any

        def remove(source, checked, compress_any=compress_any):
            (photos / "gone.png").unlink()
            return compress_any(source, checked)

        with monkeypatch.context() as patch:
            patch.setattr(module, "compress_any", remove)
            (result,) = compress(photos / "gone.png", tmp_path / "out", 8, **options)
        expected = "target not reached" if options else "failed"
        assert result.status == expected
        assert "\n" not in result.error


@pytest.mark.parametrize(
    "text", ["source", "hello\n", '{"a": 1}\n', '{"source": 1', "[1]\n", '{"settings": ""}\n']
)
def test_a_file_that_is_no_report_stays_as_it_is(photos, tmp_path, text):
    report = tmp_path / "mine.txt"
    report.write_text(text)
    with pytest.raises(ValueError, match=r"mine.txt: line 1 is not of a report"):
        fastkq.compress_many([photos], tmp_path / "out", report=report)
    assert report.read_text() == text


def test_leftovers_of_other_files_stay(tmp_path):
    mine, other = tmp_path / ".a.png.0123abcd.tmp", tmp_path / ".b.png.0123abcd.tmp"
    for path in (mine, other, tmp_path / ".a.png.tmp"):
        path.touch()
    remove_leftovers([Job("a.jpg", str(tmp_path / "a.png"))])
    assert sorted(files(tmp_path)) == [".a.png.tmp", ".b.png.0123abcd.tmp"]


def test_a_lossless_image_has_no_psnr_in_json(tmp_path):
    Image.new("RGB", (300, 300), "red").save(tmp_path / "red.bmp")
    (result,) = compress(tmp_path / "red.bmp", tmp_path / "out")
    assert result.psnr == float("inf")
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["psnr"] is None


@pytest.mark.slow
def test_killed_runs_are_resumed_to_the_same_files(tmp_path):
    if not KILL_AND_RESUME.exists():
        pytest.skip("the scripts are not part of an installed package")
    run = subprocess.run(
        [sys.executable, KILL_AND_RESUME, "--images", "80", "--kills", "2"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout)["kills"] == 2


# --- One palette for all


def test_a_given_palette_keeps_its_order_and_is_used_for_all(photos, tmp_path):
    palette = np.array([[255, 255, 255], [0, 0, 0], [200, 30, 30]], np.uint8)
    write_palette(tmp_path / "brand.gpl", palette)
    for given in (palette, tmp_path / "brand.gpl"):
        results = compress([photos], tmp_path / "out", palette=given, overwrite=True)
        assert statuses(results)["b.bmp"] == "done"
        with Image.open(tmp_path / "out" / "b.png") as image:
            assert np.array_equal(np.asarray(image), fastkq.remap(photos / "b.bmp", palette))
            assert image.getpalette()[:9] == palette.ravel().tolist()
            mse = np.mean((palette[np.asarray(image)] - np.asarray(smooth(1), float)) ** 2) * 3
        assert results[1].psnr == pytest.approx(10 * np.log10(3 * 255**2 / mse))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_shared_palette_is_that_of_all_images_together(photos, tmp_path, jobs):
    compress([photos], tmp_path / "out", 8, recursive=True, palette="shared", jobs=jobs)
    images = [photos / "a.png", photos / "b.bmp", photos / "below" / "c.tif"]
    total = sum(map(fastkq.color_histogram, images[1:]), fastkq.color_histogram(images[0]))
    expected = fastkq.fit_palette(total, 8, color_space="oklab")
    for name in ("a.png", "b.png", "below/c.png"):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.getpalette()[:24] == expected.ravel().tolist()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_shared_palette_counts_what_is_not_opaque(photos, tmp_path, jobs):
    alpha = np.random.default_rng(3).integers(0, 3, (60, 90), dtype=np.uint8) * 100
    for name in ("badge.png", "other.png"):
        badge = smooth(len(name)).convert("RGBA")
        badge.putalpha(Image.fromarray(alpha))
        badge.save(photos / name)
    images = sorted(path for path in photos.iterdir() if path.suffix in (".png", ".bmp"))
    total = sum(map(fastkq.color_histogram, images[1:]), fastkq.color_histogram(images[0]))
    for order in (images, images[::-1]):
        counted, errors = sum_histograms([*map(str, order), "none.png"], n_workers=jobs)
        assert errors == {"none.png": "none.png: no such file"}
        assert counted.n_pixels == total.n_pixels == 4 * 90 * 60
        assert counted.n_transparent == total.n_transparent > 0
        for mine, sums in (
            (counted.codes, total.codes),
            (counted.counts, total.counts),
            (counted.translucent.keys, total.translucent.keys),
            (counted.translucent.moments, total.translucent.moments),
        ):
            assert np.array_equal(mine, sums)
            assert len(mine) > 0


def test_a_shared_palette_of_nothing_readable_is_an_error(photos, tmp_path):
    with pytest.raises(ValueError, match="none of 1 images could be read"):
        fastkq.compress_many([photos / "bad.jpg"], tmp_path / "out", palette="shared")


def test_settings_tell_of_locked_and_protected_colors():
    given = [
        {},
        {"locked": [[1, 2, 3]]},
        {"locked": [[1, 2, 4]]},
        {"protect": True},
        {"color_space": "oklab"},
        {"dither": "ordered"},
        {"quality": (10, 80)},
        {"max_bytes": 800},
        {"palette": [[1, 2, 3]]},
    ]
    settings = {JobOptions(check_options(8, **options)).settings for options in given}
    assert len(settings) == len(given)
    assert (
        JobOptions(check_options(8, locked=[])).settings
        == "8 colors, balanced, srgb, min_savings 0"
    )


def test_a_shared_palette_has_the_locked_colors(photos, tmp_path):
    options = {"palette": "shared", "jobs": 1, "locked": [[1, 2, 3], [4, 5, 6]]}
    compress([photos], tmp_path / "out", 8, recursive=True, **options)
    for path in (tmp_path / "out").rglob("*.png"):
        with Image.open(path) as image:
            assert image.getpalette()[:6] == [1, 2, 3, 4, 5, 6]


def test_an_error_names_its_image(tmp_path):
    image = np.zeros((8, 8, 4), np.uint8)
    image[2:6, 2:6] = [200, 10, 10, 255]
    Image.fromarray(image).save(tmp_path / "logo.png")
    options = {"palette": [[0, 0, 0], [255, 255, 255]], "jobs": 1}
    (result,) = fastkq.compress_many([tmp_path / "logo.png"], tmp_path / "out", **options)
    assert result.status == "failed"
    assert result.error.startswith(f"{tmp_path / 'logo.png'}: the image has transparent pixels")
    options["background"] = "#ffffff"
    (result,) = fastkq.compress_many([tmp_path / "logo.png"], tmp_path / "out", **options)
    assert result.status in ("done", "no gain")
