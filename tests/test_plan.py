"""The plan of a batch: names that stay, targets that are nobody's source, odd entries."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastkq
from fastkq.batch.find import find_images
from fastkq.batch.plan import plan_jobs
from fastkq.files.mark import is_own_output


def picture(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), color).save(path)
    return path


def targets(jobs, folder):
    return {
        os.path.relpath(job.source, folder): os.path.relpath(job.target, folder) for job in jobs
    }


def compress(*arguments, **options):
    return list(fastkq.compress_many(*arguments, **({"jobs": 1} | options)))


# --- Targets in the sources' own folder


@pytest.mark.parametrize("directory", ["same", None])
def test_a_repeat_finds_its_own_outputs(tmp_path, directory):
    for name in ("a.bmp", "b.bmp", "b.tif"):
        picture(tmp_path / name)
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "c.png")
    directory = tmp_path if directory else None
    first = compress(tmp_path, directory, 4)
    assert [result.status for result in first] == ["done"] * 4
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for _ in range(2):
        again = compress(tmp_path, directory, 4)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
        assert {(r.source, r.target) for r in again if r.status == "skipped: exists"} == {
            (r.source, r.target) for r in first
        }
        others = [r for r in again if r.status != "skipped: exists"]
        assert {r.status for r in others} == {"skipped: own output"}
        assert len(others) == 4
    # Made anew, they keep their names as well.
    forced = compress(tmp_path, directory, 2, overwrite=True)
    assert {r.target for r in forced if r.status == "done"} == {r.target for r in first}
    assert set(tmp_path.iterdir()) == set(written)


def test_names_in_the_own_folder(tmp_path):
    for name in ("a.png", "b.jpg", "c.jpg", "c.webp"):
        (tmp_path / name).touch()
    assert targets(plan_jobs([tmp_path], tmp_path), tmp_path) == {
        "a.png": "a.png-2.png",
        "b.jpg": "b.png",
        "c.jpg": "c.jpg.png",
        "c.webp": "c.webp.png",
    }
    assert targets(plan_jobs([tmp_path], None, format="gif"), tmp_path) == {
        "a.png": "a-fastkq.gif",
        "b.jpg": "b-fastkq.gif",
        "c.jpg": "c.jpg-fastkq.gif",
        "c.webp": "c.webp-fastkq.gif",
    }


def test_a_photo_that_has_the_name_of_an_output_stays(tmp_path):
    """Somebody's own "a-fastkq.png" is no output of fastkq, though it is called so."""
    picture(tmp_path / "a.bmp")
    mine = picture(tmp_path / "a-fastkq.png", "blue")
    before = mine.read_bytes()
    compress([tmp_path / "a.bmp", mine], None, overwrite=True)
    assert mine.read_bytes() == before
    assert is_own_output(tmp_path / "a.bmp-fastkq-2.png")


# --- Links


def test_a_target_that_links_to_a_source_is_no_target(tmp_path):
    for name in ("0", "1"):
        picture(tmp_path / "m" / f"{name}.bmp", "red" if name == "0" else "blue")
    sources = sorted((tmp_path / "m").iterdir())
    before = [source.read_bytes() for source in sources]
    (tmp_path / "sw").mkdir()
    (tmp_path / "sw" / "0.png").symlink_to(tmp_path / "m" / "1.bmp")
    results = compress(sources, tmp_path / "sw", overwrite=True)
    assert [source.read_bytes() for source in sources] == before
    assert [Path(result.target).name for result in results] == ["0.bmp-2.png", "1.png"]
    assert [result.status for result in results] == ["done", "done"]


def test_a_target_that_is_a_source_by_another_name_is_no_target(tmp_path):
    """A hard link is the same file too."""
    source = picture(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    os.link(source, tmp_path / "out" / "b.png")
    (job,) = plan_jobs([picture(tmp_path / "in" / "b.bmp")], tmp_path / "out")
    assert job.target == str(tmp_path / "out" / "b.png")
    jobs = plan_jobs([source, tmp_path / "in" / "b.bmp"], tmp_path / "out")
    assert [Path(job.target).name for job in jobs] == ["a.png", "b.bmp-2.png"]


def test_two_targets_that_link_to_one_file_are_one(tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "one.png")
    jobs = plan_jobs(["a.jpg", "b.jpg"], tmp_path / "out")
    assert [Path(job.target).name for job in jobs] == ["a.jpg.png", "b.jpg.png"]


def test_two_stars_follow_no_links(tmp_path):
    picture(tmp_path / "in" / "z.png")
    picture(tmp_path / "in" / "below" / "deep" / "a.png")
    picture(tmp_path / "in" / ".hidden" / "b.png")
    for name in ("self", "again"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "in")
    for pattern in ("**", "**/*.png", "**/**/*.p*"):
        jobs = plan_jobs([tmp_path / "in" / pattern], tmp_path / "out", recursive=True)
        assert targets(jobs, tmp_path) == {
            "in/z.png": "out/z.png",
            "in/below/deep/a.png": "out/below/deep/a.png",
        }, pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.png", ["a.png", "in/b.png", "in/below/c.png"]),
        ("*/**/*.png", ["in/b.png", "in/below/c.png"]),
        ("in/**/below/*.png", ["in/below/c.png"]),
        ("**/in/**", ["in/b.png", "in/below/c.png"]),
        ("./**/c.*", ["in/below/c.png"]),
    ],
)
def test_two_stars_are_any_depth(tmp_path, monkeypatch, pattern, expected):
    for name in ("a.png", "in/b.png", "in/below/c.png"):
        picture(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert sorted(source for source, _ in find_images([pattern], recursive=True)) == expected


def test_targets_of_a_glob_with_two_dots_stay_inside(tmp_path):
    picture(tmp_path / "in" / "below" / "a.png")
    picture(tmp_path / "b.png")
    jobs = plan_jobs([f"{tmp_path}/in/*/../../*.png"], tmp_path / "out" / "inner")
    assert [Path(job.target) for job in jobs] == [tmp_path / "out" / "inner" / "b.png"]


# --- Odd entries


def test_what_is_no_regular_file_is_one_line(tmp_path):
    """A pipe nobody writes to would keep a batch waiting for ever."""
    picture(tmp_path / "in" / "good.bmp")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere")
    (tmp_path / "in" / "null.png").symlink_to(os.devnull)
    (tmp_path / "in" / "folder.png").mkdir()
    for jobs in (1, 2):
        run = subprocess.run(
            [sys.executable, "-m", "fastkq", "compress", "in", "-d", f"out{jobs}", f"-j{jobs}"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(fastkq.__file__).parents[1])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 1
        assert sorted(run.stderr.splitlines()) == [
            "fastkq: in/gone.png: no such file",
            "fastkq: in/loop.png: no such file",
            "fastkq: in/null.png: is not a regular file; an image file is allowed",
            "fastkq: in/pipe.png: is not a regular file; an image file is allowed",
        ]
        assert os.listdir(tmp_path / f"out{jobs}") == ["good.png"]


def test_a_folder_that_cannot_be_read_is_one_failure(tmp_path, monkeypatch):
    picture(tmp_path / "in" / "a.bmp")
    picture(tmp_path / "in" / "secret" / "b.bmp")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read all
    for pattern in (tmp_path / "in", f"{tmp_path}/in/**"):
        out = tmp_path / f"out{len(str(pattern))}"
        done, failed = compress([pattern], out, 4, recursive=True)
        assert (done.status, failed.status) == ("done", "failed")
        secret = tmp_path / "in" / "secret"
        assert failed.error == f"{secret}: the folder cannot be read: Permission denied"


def test_a_source_that_is_gone_is_one_failure(tmp_path):
    results = compress([tmp_path / "a\0b.png", tmp_path / "none.png", ""], tmp_path / "out")
    assert [result.status for result in results] == ["failed"] * 3
    assert all(result.error.endswith("no such file") for result in results)
    assert r"a\x00b.png" in results[0].error


# --- Any plan

NAMES = st.sampled_from(
    ["a.png", "A.PNG", "a.jpg", "a.png-2.png", "b.webp", ".png", "a[1].png", "c"]
)
FOLDERS = st.sampled_from(["", "x/", "x/y/", "x/y/../", "./", "z/"])
PATTERNS = st.sampled_from(
    [
        "x",
        ".",
        "*",
        "**",
        "**/*.png",
        "*/..",
        "x/../*.png",
        "*/*/*",
        "x/*/../../*",
        "nothing*",
        "..",
    ]
)


@given(
    st.lists(st.tuples(FOLDERS, NAMES), max_size=8),
    st.lists(st.tuples(st.sampled_from(["x/", ""]), NAMES, FOLDERS, NAMES), max_size=3),
    st.lists(PATTERNS | st.tuples(FOLDERS, NAMES).map("".join), min_size=1, max_size=4),
    st.sampled_from(["out", ".", "x", "x/y", "z", None]),
    st.booleans(),
)
def test_any_plan_is_safe(existing, links, sources, directory, recursive):
    """Targets lie inside, are distinct, by any name, and are nobody's source."""
    with tempfile.TemporaryDirectory() as name:
        root, before = Path(name, "root"), Path.cwd()
        (root / "x" / "y").mkdir(parents=True)
        (root / "z").symlink_to("x")
        for folder, file in existing:
            (root / folder / file).touch()
        for folder, link, where, file in links:
            if not os.path.lexists(root / folder / link):
                (root / folder / link).symlink_to(root / where / file)
        os.chdir(root)
        try:
            jobs = plan_jobs(sources, directory, recursive=recursive)
            assert jobs == plan_jobs(sources, directory, recursive=recursive)
            places = [os.path.realpath(job.target).casefold() for job in jobs]
            origins = {os.path.realpath(job.source).casefold() for job in jobs}
            assert len(set(places)) == len(jobs)
            assert not origins & set(places)
            for job in jobs:
                inside = os.path.dirname(job.source) if directory is None else directory
                assert Path(os.path.normpath(job.target)).is_relative_to(os.path.normpath(inside))
                assert ".." not in Path(os.path.relpath(job.target, inside or ".")).parts
        finally:
            os.chdir(before)


def test_a_plan_takes_linear_time():
    """4,000 files of one name took 52 s; 8,000 of them may take thrice the time of 2,000 twice."""

    def seconds(n):
        least = []
        for _ in range(3):
            start = time.perf_counter()
            jobs = plan_jobs([f"{number}/a.jpg" for number in range(n)], "out")
            least.append(time.perf_counter() - start)
        assert len({job.target for job in jobs}) == n
        return min(least)

    assert seconds(8000) < 12 * seconds(2000)
