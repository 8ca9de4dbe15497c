"""Images in object stores: in memory, on an S3 server that runs here, and on disk by address."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.batch import remote
from fastkq.batch.remote import plan_remote_jobs
from fastkq.cli import main

fsspec = pytest.importorskip("fsspec", reason="fastkq[remote] is not installed")


def encoded(seed):
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    for number, name in enumerate(["a.png", "sub/b.png", "sub/.hidden/c.png", "notes.txt"]):
        files.pipe_file(f"/in/{name}", encoded(number) if name.endswith("png") else b"text")
    yield files
    files.store.clear()


def names(files, folder):
    return sorted(path.removeprefix(f"/{folder}/") for path in files.find(f"/{folder}"))


def test_a_run_in_memory(memory):
    results = list(fastkq.compress_many("memory://in", "memory://out", 8, recursive=True))
    assert [(result.source, result.target, result.status) for result in results] == [
        ("memory:///in/a.png", "memory:///out/a.png", "done"),
        ("memory:///in/sub/b.png", "memory:///out/sub/b.png", "done"),
    ]
    assert memory.cat_file("/out/a.png") == fastkq.compress(encoded(0), n_colors=8)
    assert results[0].source_bytes == len(encoded(0))
    assert results[0].pixels == 1200


def test_a_run_that_is_repeated_does_what_is_missing(memory):
    first = list(fastkq.compress_many("memory://in", "memory://out", 8, recursive=True))
    before = memory.cat_file("/out/a.png")
    memory.rm("/out/sub/b.png")
    again = list(fastkq.compress_many("memory://in", "memory://out", 8, recursive=True))
    assert [result.status for result in again] == ["skipped: exists", "done"]
    assert memory.cat_file("/out/a.png") == before
    assert again[1].target_bytes == first[1].target_bytes
    forced = fastkq.compress_many("memory://in", "memory://out", 4, overwrite=True)
    assert [result.status for result in forced] == ["done"]
    assert memory.cat_file("/out/a.png") != before


def test_beside_its_source_and_own_output_is_no_source(memory):
    for expected in ("done", "skipped: exists"):
        results = list(fastkq.compress_many("memory://in", None, 8))
        assert [(result.target, result.status) for result in results] == [
            ("memory:///in/a-fastkq.png", expected)
        ]
    moved = list(fastkq.compress_many("memory://in/a-fastkq.png", "memory://out", 8))
    assert [result.status for result in moved] == ["skipped: own output"]


def test_globs_names_and_shards(memory):
    jobs = plan_remote_jobs(["memory://in/*.png"], "memory://o", name="{parent}-{stem}")
    assert [job.target for job in jobs] == ["memory:///o/in-a.png"]
    found = [
        [
            r.source
            for r in fastkq.compress_many("memory://in", "memory://o", 8, recursive=True, shard=s)
        ]
        for s in ((1, 2), (2, 2))
    ]
    assert found == [["memory:///in/a.png"], ["memory:///in/sub/b.png"]]
    for shard in ((0, 2), (3, 2), (1, 0)):
        with pytest.raises(ValueError, match="shard"):
            fastkq.compress_many("memory://in", "memory://o", 8, shard=shard)


def test_no_two_share_a_target(memory):
    for name in ("x.jpg", "x.png", "sub/x.png"):
        memory.pipe_file(f"/clash/{name}", encoded(0))
    jobs = plan_remote_jobs(
        ["memory://clash/x.jpg", "memory://clash/x.png", "memory://clash/sub/x.png"], "memory://o"
    )
    assert [job.target for job in jobs] == [
        "memory:///o/x.jpg.png",
        "memory:///o/x.png.png",
        "memory:///o/x.png-2.png",
    ]


def test_into_the_folder_of_the_sources(memory):
    (job,) = plan_remote_jobs(["memory://in/a.png"], "memory://in")
    assert job.target == "memory:///in/a.png-2.png"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("none.png", None, "memory:///in/none.png: no such file"),
        ("text.png", b"text", "memory:///in/text.png: is no image of a known format"),
    ],
)
def test_what_fails_is_told_by_its_address(memory, name, data, words):
    if data is not None:
        memory.pipe_file(f"/in/{name}", data)
    (result,) = fastkq.compress_many(f"memory://in/{name}", "memory://out", 8)
    assert result.status == "failed"
    assert words in result.error
    assert names(memory, "out") == []


def test_no_gain_writes_nothing(memory):
    image = Image.fromarray(np.zeros((8, 8), np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    memory.pipe_file("/in/tiny.png", buffer.getvalue())
    (result,) = fastkq.compress_many("memory://in/tiny.png", "memory://out", 8)
    assert result.status == "no gain"
    assert names(memory, "out") == []


def test_a_target_that_came_meanwhile_is_left_alone(memory, monkeypatch):
    monkeypatch.setattr(remote, "_exists", lambda url: False)
    memory.pipe_file("/out/a.png", b"of another")
    (result,) = fastkq.compress_many("memory://in/a.png", "memory://out", 8)
    assert (result.status, memory.cat_file("/out/a.png")) == ("skipped: exists", b"of another")
    memory.pipe_file("/out/a.png", fastkq.compress(encoded(0), n_colors=8))
    (result,) = fastkq.compress_many("memory://in/a.png", "memory://out", 8)
    assert result.status == "done"  # these are its bytes: it was killed before it could tell


def test_one_palette_for_all_in_a_store(memory):
    results = list(
        fastkq.compress_many("memory://in", "memory://out", 6, palette="shared", recursive=True)
    )
    assert [result.n_colors for result in results] == [6, 6]
    palettes = [
        Image.open(io.BytesIO(memory.cat_file(f"/out/{name}"))).getpalette()
        for name in ("a.png", "sub/b.png")
    ]
    assert palettes[0] == palettes[1]


def test_a_folder_on_disk_by_its_address(memory, tmp_path):
    target = f"file://{tmp_path}/out"
    results = list(fastkq.compress_many("memory://in", target, 8))
    assert [result.status for result in results] == ["done"]
    assert (tmp_path / "out" / "a.png").read_bytes() == fastkq.compress(encoded(0), n_colors=8)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    with pytest.raises(FileExistsError):
        remote.write(f"{target}/a.png", b"x", overwrite=False)
    remote.write(f"{target}/a.png", b"x", overwrite=True)
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [b"x"]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.mv", broken)
    with pytest.raises(OSError, match="the disk is full"):
        remote.write(f"file://{tmp_path}/a.png", b"x", overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_addresses_a_manifest_and_shards(memory, tmp_path, capsys):
    lines = [json.dumps("memory://in/a.png"), "", json.dumps({"source": "memory://in/sub/b.png"})]
    manifest = tmp_path / "keys.jsonl"
    manifest.write_text("\n".join(lines))
    memory.pipe_file("/keys.jsonl", manifest.read_bytes())
    report = tmp_path / "report.jsonl"
    for part in ("1/2", "2/2"):
        arguments = ["--manifest", str(manifest), "-d", "memory://out", "--shard", part, "-k", "8"]
        assert main(["compress", *arguments, "-q", "--report", str(report)]) == 0
    assert names(memory, "out") == ["a.png", "b.png"]
    assert len(report.read_text().splitlines()) == 2
    assert main(["compress", "--manifest", "memory://keys.jsonl", "-d", "memory://out"]) == 0
    assert "2 skipped" in capsys.readouterr().out
    assert main(["memory://in/a.png", "-k", "8", "-q"]) == 0
    assert "a-fastkq.png" in names(memory, "in")


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_wrong_shard_is_told(part, capsys):
    with pytest.raises(SystemExit):
        main(["compress", "a", "-d", "b", "--shard", part])
    assert "is not a part such as 1/8" in capsys.readouterr().err


def test_copies_are_for_disks(memory):
    with pytest.raises(ValueError, match="copy_unchanged is for directories on disk"):
        fastkq.compress_many("memory://in", "memory://out", copy_unchanged=True)


def test_without_fsspec_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(RuntimeError, match=r"pip install \"fastkq\[remote\]\""):
        fastkq.compress_many("s3://in", "s3://out")


def test_what_lies_below_the_sources_in_the_target_is_left_out(memory):
    for _ in range(2):
        results = fastkq.compress_many("memory://in", "memory://in/small", 8, recursive=True)
        assert [result.source for result in results] == [
            "memory:///in/a.png",
            "memory:///in/sub/b.png",
        ]


@pytest.fixture(scope="module")
def s3():
    """Start moto's S3 server, and give a file system on it."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    patch = pytest.MonkeyPatch()
    for name, value in settings.items():
        patch.setenv(name, value)
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        files.mkdir("photos")
        files.mkdir("smaller")
        yield files
    finally:
        server.terminate()
        server.wait()
        patch.undo()


def test_a_run_on_s3(s3):
    for number in range(3):
        s3.pipe_file(f"photos/2024/{number}.png", encoded(number))
    results = list(fastkq.compress_many("s3://photos/2024", "s3://smaller/small", 8, jobs=1))
    assert [(result.target, result.error) for result in results] == [
        (f"s3://smaller/small/{number}.png", None) for number in range(3)
    ]
    s3.invalidate_cache()
    for number in range(3):
        expected = fastkq.compress(encoded(number), n_colors=8)
        assert s3.cat_file(f"smaller/small/{number}.png") == expected
    s3.rm_file("smaller/small/1.png")
    again = list(fastkq.compress_many("s3://photos/2024", "s3://smaller/small", 8, jobs=1))
    assert [result.status for result in again] == ["skipped: exists", "done", "skipped: exists"]
    assert sorted(s3.find("smaller")) == [f"smaller/small/{number}.png" for number in range(3)]


def test_s3_refuses_to_replace_what_came_meanwhile(s3):
    remote.write("s3://smaller/here.png", b"first", overwrite=False)
    with pytest.raises(FileExistsError):
        remote.write("s3://smaller/here.png", b"second", overwrite=False)
    assert remote.read("s3://smaller/here.png") == b"first"
    remote.write("s3://smaller/here.png", b"third", overwrite=True)
    assert remote.read("s3://smaller/here.png") == b"third"


@pytest.mark.slow  # each worker loads Numba and botocore
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core runs no worker processes")
def test_s3_in_worker_processes(s3):
    for number in range(4):
        s3.pipe_file(f"photos/many/{number}.png", encoded(number))
    results = list(fastkq.compress_many("s3://photos/many", "s3://smaller/many", 8, jobs=2))
    assert sorted((result.status, result.target) for result in results) == [
        ("done", f"s3://smaller/many/{number}.png") for number in range(4)
    ]
