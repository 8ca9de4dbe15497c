"""Tar files of data sets: pictures compressed, all else as it was, whatever the names say."""

import io
import json
import os
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.batch.job import JobOptions
from fastkq.batch.plan import Job
from fastkq.batch.pool import map_in_order
from fastkq.batch.run import run_jobs
from fastkq.batch.tar import expand_range, plan_tar_jobs
from fastkq.cli import main
from fastkq.files.tar import MAX_HEADER_BYTES, read_headers
from fastkq.options import check_options

BLOCK = tarfile.BLOCKSIZE


def picture(seed, kind="PNG", side=40):
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def tiny():
    """A picture of which no smaller file comes."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 7).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def member(name, **attributes):
    info = tarfile.TarInfo(name)
    info.mtime, info.uid, info.uname, info.mode = 1_600_000_000, 1234, "someone", 0o640
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def write_tar(path, members, format=tarfile.GNU_FORMAT):
    """Write members, each a name or a header, and its data."""
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else member(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def read_tar(path):
    with tarfile.open(path) as tar:
        return [
            (info, tar.extractfile(info).read() if info.isreg() else None)
            for info in tar.getmembers()
        ]


def names(path):
    return [info.name for info, _ in read_tar(path)]


def run(*given, **options):
    return list(fastkq.compress_many(*given, **{"n_colors": 8, "jobs": 1} | options))


SAMPLES = [
    ("000.jpg", picture(0, "BMP")),
    ("000.json", b'{"label": 1}'),
    ("001.left.PNG", picture(1)),
    ("001.cls", b"7"),
    ("002.jpg", b"no picture"),
    ("002.txt", b"a caption"),
    ("003.png", tiny()),
]


@pytest.fixture
def shard(tmp_path):
    write_tar(tmp_path / "in.tar", SAMPLES)
    return tmp_path / "in.tar"


def test_pictures_are_compressed_and_all_else_is_kept(shard, tmp_path):
    out = tmp_path / "out.tar"
    results = run(shard, out)
    written = read_tar(out)
    assert [info.name for info, _ in written] == [
        *("000.png", "000.json", "001.left.png", "001.cls", "002.jpg", "002.txt", "003.png")
    ]
    data = [data for _, data in written]
    assert data[0] == fastkq.compress(SAMPLES[0][1], n_colors=8)
    assert data[2] == fastkq.compress(SAMPLES[2][1], n_colors=8)
    assert [data[i] for i in (1, 3, 4, 5, 6)] == [SAMPLES[i][1] for i in (1, 3, 4, 5, 6)]
    assert [result.status for result in results] == ["done", "done", "failed", "no gain"]
    assert [result.source for result in results] == [
        f"{shard}/{name}" for name in ("000.jpg", "001.left.PNG", "002.jpg", "003.png")
    ]
    assert [result.copy for result in results] == [
        *(None, None, f"{out}/002.jpg", f"{out}/003.png")
    ]
    assert results[2].error.startswith(f"{shard}/002.jpg: is no image of a known format")
    for info, _ in written:
        assert (info.mtime, info.uid, info.uname, info.mode) == (
            *(1_600_000_000, 1234, "someone", 0o640),
        )


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    members = [(f"{i:03}.bmp", picture(i, "BMP", 10 + 13 * (i % 5))) for i in range(24)]
    members.append(("é" * 40 + "/" + "n" * 90 + ".json", b"{}"))
    formats = tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT
    sources = [tmp_path / f"{format}.tar" for format in formats]
    for source, format in zip(sources, formats, strict=True):
        write_tar(source, members, format)
    one, two = tmp_path / "one", tmp_path / "two"
    expected = run(sources, one)
    results = run(sources, two, jobs=2)
    assert [result.source for result in results] == [result.source for result in expected]
    assert {result.status for result in results} == {"done"}
    for source in sources:
        assert (one / source.name).read_bytes() == (two / source.name).read_bytes()
        assert names(two / source.name)[-1] == members[-1][0]


def test_several_into_a_directory_and_again(tmp_path):
    for number in range(3):
        write_tar(tmp_path / f"in-{number:03}.tar", [("a.bmp", picture(number, "BMP"))])
    sources = f"{tmp_path}/in-{{000..002}}.tar"
    first = run(sources, tmp_path / "out")
    assert [result.target for result in first] == [
        f"{tmp_path}/out/in-{number:03}.tar/a.png" for number in range(3)
    ]
    (tmp_path / "out" / "in-001.tar").unlink()
    again = run(sources, tmp_path / "out")
    assert [(os.path.basename(result.source), result.status) for result in again] == [
        *(("in-000.tar", "skipped: exists"), ("in-002.tar", "skipped: exists"), ("a.bmp", "done"))
    ]
    parts = [run(sources, tmp_path / "parts", shard=(part, 2)) for part in (1, 2)]
    assert [len(part) for part in parts] == [2, 1]
    assert [path.read_bytes() for path in sorted((tmp_path / "parts").iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "out").iterdir())
    ]


def test_beside_its_source_and_as_a_glob(shard, tmp_path):
    for status in ("done", "skipped: exists"):
        results = run(tmp_path / "*.tar", None)
        assert results[0].status == status
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in-fastkq.tar", "in.tar"]
    run(shard, tmp_path / "named", name="{stem}-8{suffix}")
    assert [path.name for path in (tmp_path / "named").iterdir()] == ["in-8.tar"]


def test_no_name_leads_anywhere(tmp_path):
    paths = ["../above.bmp", "/absolute.bmp", "./dot.bmp", "a/../../b.bmp", "..", "._c.bmp"]
    members = [(name, picture(i, "BMP")) for i, name in enumerate(paths)]
    members.append((member("folder", type=tarfile.DIRTYPE), b""))
    (tmp_path / "below").mkdir()
    write_tar(tmp_path / "below" / "in.tar", members)
    run(tmp_path / "below" / "in.tar", tmp_path / "below" / "out.tar")
    assert names(tmp_path / "below" / "out.tar") == [
        *("../above.png", "/absolute.png", "./dot.png", "a/../../b.png", "..", "._c.bmp"),
        "folder",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["below"]
    assert sorted(path.name for path in (tmp_path / "below").iterdir()) == ["in.tar", "out.tar"]


def test_links_and_devices_are_kept(tmp_path):
    write_tar(
        tmp_path / "in.tar",
        [
            ("a.bmp", picture(0, "BMP")),
            (member("hard.bmp", type=tarfile.LNKTYPE, linkname="a.bmp"), b""),
            (member("soft.bmp", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b""),
            (member("fifo.png", type=tarfile.FIFOTYPE), b""),
        ],
    )
    results = run(tmp_path / "in.tar", tmp_path / "out.tar")
    assert [result.status for result in results] == ["done"]
    kept = [(info.name, info.type, info.linkname) for info, _ in read_tar(tmp_path / "out.tar")]
    assert kept == [
        ("a.png", tarfile.REGTYPE, ""),
        ("hard.bmp", tarfile.LNKTYPE, "a.png"),
        ("soft.bmp", tarfile.SYMTYPE, "/etc/passwd"),
        ("fifo.png", tarfile.FIFOTYPE, ""),
    ]


def test_no_two_names_become_one(tmp_path):
    same = ["a.bmp", "a.bmp", "b.bmp", "b.png", "c.bmp", "c.tga", "b.bmp.png"]
    write_tar(tmp_path / "in.tar", [(name, picture(i, "BMP")) for i, name in enumerate(same)])
    results = run(tmp_path / "in.tar", tmp_path / "out.tar")
    assert {result.status for result in results} == {"done"}
    assert names(tmp_path / "out.tar") == [
        *("a.png", "a.png", "b.bmp-2.png", "b.png", "c.bmp.png", "c.tga.png", "b.bmp.png")
    ]


def raw(name, n_bytes, kind=tarfile.REGTYPE):
    """A header that says something of its size that is not so."""
    info = member(name, size=n_bytes, type=kind)
    return info.tobuf(tarfile.GNU_FORMAT)


END = b"\0" * (2 * BLOCK)
GOOD = [("a.bmp", picture(0, "BMP"))]


def whole(tmp_path):
    write_tar(tmp_path / "good.tar", [*GOOD, ("b.json", b"{}"), ("c.json", b"{}")])
    return (tmp_path / "good.tar").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:3000], "unexpected end of data"),
        (lambda data: data[:BLOCK] + data[BLOCK : BLOCK + 1], "unexpected end of data"),
        (lambda data: data[: data.index(b"c.json") + 100], "there is no header"),
        (lambda data: data.replace(b"b.json", b"?.json"), "there is no header"),
        (lambda _: b"", "empty file"),
        (lambda _: b"no tar file, but text" * 100, "is no tar file that can be read"),
        (lambda _: raw("a.png", 1 << 40) + END, "unexpected end of data"),
        # Of what newer versions of Python find themselves, they tell in their own words.
        (lambda _: raw("a.png", 0) + raw("b", -BLOCK) + END, ""),
        (lambda _: raw("x", 1 << 40, tarfile.GNUTYPE_LONGNAME) + END, ""),
        (lambda _: raw("x", -BLOCK, tarfile.XHDTYPE) + END, ""),
        (
            lambda _: raw("x", MAX_HEADER_BYTES, tarfile.XHDTYPE) + b"1" * MAX_HEADER_BYTES + END,
            "has headers of a member over 1048576 bytes",
        ),
        (lambda _: raw("a.bmp", 0, tarfile.GNUTYPE_SPARSE) + END, "has a sparse member"),
    ],
)
def test_a_damaged_file_is_one_line_and_no_target(tmp_path, spoil, words):
    data = spoil(whole(tmp_path))
    (tmp_path / "bad.tar").write_bytes(data)
    results = run([tmp_path / "bad.tar", tmp_path / "good.tar"], tmp_path / "out")
    assert [result.status for result in results] == ["failed", "done"]
    assert results[0].error.startswith(f"{tmp_path}/bad.tar: ")
    assert words in results[0].error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.tar"]


def test_a_picture_that_is_too_large_is_kept(shard, tmp_path, monkeypatch):
    monkeypatch.setattr("fastkq.batch.tar.MAX_PICTURE_BYTES", 1000)
    results = run(shard, tmp_path / "out.tar")
    assert "in a tar file, 1000 are allowed" in results[0].error
    assert read_tar(tmp_path / "out.tar")[0][1] == SAMPLES[0][1]


def test_a_full_disk_leaves_no_target_and_the_next_one_is_written(shard, tmp_path, monkeypatch):
    write_tar(tmp_path / "next.tar", [("z.bmp", picture(9, "BMP"))])
    put = "fastkq.files.tar.TarWriter.copy"
    monkeypatch.setattr(put, lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    results = run([shard, tmp_path / "next.tar"], tmp_path / "out", jobs=2)
    assert [result.status for result in results] == ["done", "failed", "done"]
    assert results[1].error == (f"{shard}: {tmp_path}/out/in.tar: cannot be written: No space left")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["next.tar"]


def test_what_is_written_can_be_read_again_and_compared(shard, tmp_path, monkeypatch):
    run(shard, tmp_path / "out.tar", verify=True, durable=True, preserve=True)
    assert os.stat(shard).st_mtime_ns == os.stat(tmp_path / "out.tar").st_mtime_ns
    monkeypatch.setattr(
        "fastkq.files.tar.TarWriter.finish", lambda self: setattr(self, "checksum", 1)
    )
    results = run(shard, tmp_path / "other.tar", verify=True)
    assert "what was written is not what is read again" in results[-1].error
    assert not (tmp_path / "other.tar").exists()


def test_a_file_that_changes_meanwhile_is_told_of(shard, tmp_path):
    results = fastkq.compress_many(shard, tmp_path / "out.tar", 8, jobs=1)
    next(results)
    write_tar(shard, SAMPLES[:1])
    assert list(results)[-1].error == f"{shard}: has changed meanwhile"
    assert not (tmp_path / "out.tar").exists()


def test_a_worker_that_is_ended_leaves_the_original(shard, tmp_path):
    results = run(shard, tmp_path / "out.tar", timeout=0.001)
    assert {result.status for result in results} == {"failed"}
    assert results[0].error == f"{shard}/000.jpg: took longer than 0.001 s, the timeout"
    assert [data for _, data in read_tar(tmp_path / "out.tar")] == [data for _, data in SAMPLES]


def test_the_report_is_the_same_after_a_second_run(shard, tmp_path):
    report = tmp_path / "run.jsonl"
    run(shard, tmp_path / "out.tar", report=report)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done", "done", "failed", "no gain"]
    (tmp_path / "out.tar").unlink()
    run(shard, tmp_path / "out.tar", report=report)
    assert len(report.read_text().splitlines()) == 4


def test_fail_fast_writes_nothing(shard, tmp_path):
    results = run(shard, tmp_path / "out.tar", fail_fast=True)
    assert [result.status for result in results] == ["done", "done", "failed"]
    assert [path.name for path in tmp_path.iterdir()] == ["in.tar"]


@pytest.mark.parametrize("flag", ["-d", "-o"])
def test_the_command(shard, tmp_path, capsys, flag):
    out = tmp_path / "out.tar"
    assert main([str(shard), flag, str(out), "-k", "8", "-j", "1"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"fastkq: {shard}/002.jpg: is no image of a known format")
    assert len(printed.err.splitlines()) == 1
    assert printed.out.splitlines()[0].startswith(f"{shard}/000.jpg -> {out}/000.png: ")
    assert f"no gain, copied to {out}/003.png" in printed.out
    assert "4 images: 2 done, 1 without gain, 0 skipped, 1 failed, 2 sources" in printed.out
    assert main([str(shard), flag, str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out == f"{shard} -> {out}: skipped: exists\n"


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (["a.tar", "b.jpg"], {}, "b.jpg: is no tar file, and others are"),
        (["a.tar", "b.tar"], {"directory": "c.tar"}, "c.tar: is one tar file, for 2"),
        (["a.tar"], {"directory": "."}, "the target is a source"),
        (["x/a.tar", "y/a.tar"], {}, "is the target of x/a.tar and of y/a.tar; a name such as"),
        (["a-{9..1}.tar"], {}, "its range has no numbers"),
        (["a-{1..9999999}.tar"], {}, "or too many"),
        (["a.tar"], {"in_place": True, "directory": None}, "in_place is for directories on disk"),
        (["a.tar"], {"page": "all"}, "page 'all' is for directories on disk, and not for tar"),
        (["a.tar"], {"palette": "shared"}, "palette is 'shared'; with tar files, one that exists"),
    ],
)
def test_what_is_not_allowed(given, options, words):
    directory = options.pop("directory", "out")
    with pytest.raises(ValueError, match=words):
        fastkq.compress_many(given, directory, **options)


def test_a_cluster_is_refused():
    with pytest.raises(ValueError, match="on one machine, and not on a cluster"):
        run_jobs([Job("a.tar", "b.tar")], JobOptions(check_options()), mapper=lambda *_: iter(()))


def test_a_missing_one_is_one_line(tmp_path):
    (result,) = run(tmp_path / "none.tar", tmp_path / "out")
    assert (result.status, result.error) == ("failed", f"{tmp_path}/none.tar: no such file")


def test_ranges_and_names(tmp_path):
    assert expand_range("a{1..2}-{08..10}.tar")[2:4] == ["a1-10.tar", "a2-08.tar"]
    literal = tmp_path / "x{1..2}.tar"
    literal.touch()
    assert expand_range(str(literal)) == [str(literal)]
    (tmp_path / "folder.tar").mkdir()
    jobs = plan_tar_jobs([literal], tmp_path / "folder.tar")
    assert jobs[0].target == f"{tmp_path}/folder.tar/x{{1..2}}.tar"


def test_headers_of_what_python_writes_are_read(tmp_path):
    path = tmp_path / "long.tar"
    long = [("n" * 5000 + ".json", b"{}"), (b"\xff.cls".decode("utf-8", "surrogateescape"), b"1")]
    write_tar(path, long)
    with open(path, "rb") as file:
        assert [info.name for info in read_headers(file, "x")] == [name for name, _ in long]
    run(path, tmp_path / "out.tar")
    assert names(tmp_path / "out.tar") == [name for name, _ in long]


def test_what_is_far_ahead_is_not_begun():
    begun = []

    def items():
        for seconds in (0.5, *([0.001] * 59)):
            begun.append(seconds)
            yield seconds

    results = map_in_order(time.sleep, items(), lambda _: 1, n_workers=2)
    assert next(results) == (0.5, None)
    assert len(begun) <= 2 * 16 + 1
    assert list(results) == [(0.001, None)] * 59
