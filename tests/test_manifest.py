"""Manifests: sources in lines of JSON, and in a column of a Parquet file."""

import sys

import numpy as np
import pytest
from PIL import Image

from fastkq.cli import main
from fastkq.command.manifest import read_manifest


@pytest.mark.parametrize(
    ("line", "words"),
    [("{", "line 1 is no JSON"), ("[1]", "line 1 is '[1]'; a name, or an object")],
)
def test_a_wrong_manifest_is_told(tmp_path, capsys, line, words):
    path = tmp_path / "keys.jsonl"
    path.write_text(line)
    assert main(["compress", "--manifest", str(path), "-d", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


@pytest.fixture
def write(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="fastkq[parquet] is not installed")
    from pyarrow import parquet

    def write_columns(columns, types=()):
        arrays = {name: arrow.array(values) for name, values in columns.items()}
        for name in types:
            arrays[name] = arrays[name].cast(types[name])
        path = tmp_path / "keys.parquet"
        parquet.write_table(arrow.table(arrays), path, row_group_size=2)
        return str(path)

    return write_columns


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"key": ["a"], "path": ["b"], "source": ["c"]}, ["c"]),
        ({"key": ["a", "d", "e"], "path": ["b", "f", "g"]}, ["b", "f", "g"]),
        ({"path": [1], "other": ["a"], "key": ["b"]}, ["b"]),
        ({"number": [1, 2, 3], "url": ["s3://x/a", "s3://x/é", ""], "more": ["", "", ""]}, None),
    ],
)
def test_the_column_is_chosen_by_name(write, columns, expected):
    assert read_manifest(write(columns)) == (expected or columns["url"])


def test_texts_of_any_kind(write):
    import pyarrow

    kinds = {
        "source": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        "path": pyarrow.large_string(),
    }
    assert read_manifest(write({"source": ["a", "b", "a"]}, {"source": kinds["source"]})) == [
        *("a", "b", "a")
    ]
    assert read_manifest(write({"path": ["a", "b"]}, {"path": kinds["path"]})) == ["a", "b"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"number": [1]}, "has no column of texts; one called source, path, key, or any other"),
        ({"path": ["a", None]}, "row 2 has no path"),
    ],
)
def test_a_wrong_table_is_one_line(write, capsys, tmp_path, columns, words):
    assert main(["compress", "--manifest", write(columns), "-d", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("keep", [0, 3, 40, 90])
def test_a_damaged_table_is_one_line(write, tmp_path, capsys, keep):
    path = write({"path": ["a"] * 9})
    with open(path, "r+b") as file:
        file.truncate(keep)
    assert main(["compress", "--manifest", path, "-d", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fastkq: {path}: is no Parquet file that can be read: ")


def test_the_command_takes_one(write, tmp_path):
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    manifest = write({"size": [1, 2, 3], "key": paths})
    out = tmp_path / "out"
    assert main(["compress", "--manifest", manifest, "-d", str(out), "-k", "8", "-j", "1"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png", "2.png"]


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    path = tmp_path / "keys.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["compress", "--manifest", str(path), "-d", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "fastkq[parquet]"' in line
