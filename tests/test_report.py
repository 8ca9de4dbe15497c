"""The report of a batch, shared by runs, torn, damaged: no line is lost, and bad ones are told."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from commands import run
from PIL import Image

import fastkq
from fastkq.batch import report as report_module
from fastkq.batch.job import JobResult
from fastkq.batch.plan import Job
from fastkq.batch.report import RunReport

RESULT = JobResult("a.jpg", "a.png", "no gain", source_bytes=10, target_bytes=20)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(4):
        noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{seed}.jpg", quality=5)
        Image.new("RGB", (60, 60), "red").save(folder / f"{seed}.bmp")
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def compress(sources, out, report, n_colors=8):
    return fastkq.compress_many(sources, out, n_colors, jobs=1, report=report)


@pytest.mark.parametrize("torn", [b"", b'{"source": "torn'])
def test_two_runs_with_one_report_lose_no_line(photos, tmp_path, torn):
    report = tmp_path / "run.jsonl"
    report.write_bytes(torn)
    sources = sorted(photos.iterdir())
    first = compress(sources[:5], tmp_path / "out", report)
    second = compress(sources[3:], tmp_path / "out", report)
    results = []
    for _ in range(5):
        results += [next(first), next(second)]
    assert [list(first), list(second)] == [[], []]
    assert {result.source for result in results} == set(map(str, sources))
    assert sorted(line["source"] for line in lines(report)) == sorted(r.source for r in results)


def test_a_run_knows_what_another_wrote_before_it_began(photos, tmp_path):
    report = tmp_path / "run.jsonl"
    one, other = (compress(photos / "0.jpg", tmp_path / "out", report) for _ in range(2))
    assert [result.seconds > 0 for result in one] == [True]
    assert [(result.status, result.seconds) for result in other] == [("no gain", 0.0)]
    assert len(lines(report)) == 1


@pytest.mark.parametrize("has_locks", [True, False])
def test_lines_of_many_writers_stay_whole(tmp_path, monkeypatch, has_locks):
    if not has_locks:
        monkeypatch.setattr(report_module, "fcntl", None)
    path = tmp_path / "run.jsonl"

    def write(writer):
        with RunReport(path, "settings") as report:
            for number in range(100):
                report.add(replace(RESULT, source=f"{writer}/{number}" + "x" * 3000))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    # Without locks a blank line may stand between two, where one was seen half written.
    found = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert len({line["source"] for line in found}) == len(found) == 400


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_torn_line_costs_nothing_else(tmp_path, monkeypatch, has_locks):
    """Without locks it may be another run's, half written: then it stays, and is set aside."""
    if not has_locks:
        monkeypatch.setattr(report_module, "fcntl", None)
    path = tmp_path / "run.jsonl"
    with RunReport(path, "settings") as report:
        report.add(RESULT)
        path.write_bytes(path.read_bytes() + b'{"source": "b.jpg", "tar')
        report.add(replace(RESULT, source="c.jpg"))
    assert path.read_bytes().count(b"b.jpg") == (0 if has_locks else 1)
    if has_locks:
        again = RunReport(path, "settings")
    else:
        with pytest.warns(UserWarning, match="1 of 3 lines are not of a report, the first is lin"):
            again = RunReport(path, "settings")
    assert not again.lacks(Job("a.jpg", "a.png"))
    assert not again.lacks(Job("c.jpg", "a.png"))
    assert again.lacks(Job("b.jpg", "a.png"))


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[1]\n",
        b'{"source": 1, "target": 2, "status": "done", "settings": ""}\n',
        b'{"source": "a"}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b'{"source": "x{"source": "y"}\n',
    ],
)
def test_a_bad_line_is_set_aside_and_told(photos, tmp_path, line):
    report = tmp_path / "run.jsonl"
    first = list(compress(photos / "0.jpg", tmp_path / "out", report))
    before = report.read_bytes()
    report.write_bytes(line + before + line)
    words = f"{report}: 2 of 3 lines are not of a report, the first is line 1; they are set aside"
    with pytest.warns(UserWarning, match="set aside") as told:
        results = list(compress(photos.glob("[01].jpg"), tmp_path / "out", report))
    assert [str(warning.message) for warning in told] == [words]
    assert {result.status for result in results} == {"no gain"}
    assert [result for result in results if result.seconds == 0.0] == [replace(first[0], seconds=0)]
    assert report.read_bytes().startswith(line + before + line)
    assert json.loads(report.read_bytes().splitlines()[-1])["source"] == str(photos / "1.jpg")


@pytest.mark.parametrize("where", ["end", "middle", "all"])
def test_nul_characters_after_a_loss_of_power(photos, tmp_path, where):
    report = tmp_path / "run.jsonl"
    list(compress(photos / "0.jpg", tmp_path / "out", report))
    before = report.read_bytes()
    damaged = {"end": before + b"\0" * 4096, "middle": b"\0" * 99 + before, "all": b"\0" * 4096}
    report.write_bytes(damaged[where])
    list(compress(sorted(photos.glob("[01].jpg")), tmp_path / "out", report))
    found = [json.loads(line.strip("\0"))["source"] for line in report.read_text().splitlines()]
    assert found == [str(photos / "0.jpg"), str(photos / "1.jpg")]


def test_what_is_no_file_is_no_report(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", photos, os.devnull):
        with pytest.raises(OSError, match="is not a regular file; a report must be one, or new"):
            compress(photos, tmp_path / "out", path)


def test_the_command_tells_of_bad_lines_in_one_line(photos, tmp_path):
    report = tmp_path / "run.jsonl"
    for told in ("", f"fastkq: {report}: 1 of 9 lines are not of a report, the first is line 9; "):
        done = run("compress", photos, "-d", tmp_path / "out", "-q", "-j", 1, "--report", report)
        assert done.returncode == 0
        assert done.stderr.startswith(told)
        assert done.stderr.count("\n") == bool(told)
        report.write_bytes(report.read_bytes() + b"nonsense\n")
