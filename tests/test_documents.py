"""The examples of the documents run as they stand, in Python and on the command line."""

import doctest
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastkq.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = [path for path in (README, *sorted((ROOT / "docs").glob("*.md"))) if path.exists()]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
# What an example shows of other programs, or of the whole installation, is not run.
OTHERS = (">", "|", "warmup", "doctor", "--oxipng")


def named(documents):
    return [pytest.param(path, id=path.name) for path in documents]


def commands(path):
    """The commands of a document, each as its arguments."""
    lines = [
        line.removeprefix("$ ")
        for block in CONSOLE.findall(path.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("$ fastkq ")
    ]
    split = [shlex.split(line, comments=True)[1:] for line in lines]
    return [arguments for arguments in split if not set(arguments) & set(OTHERS)]


@pytest.fixture
def place(images, tmp_path, monkeypatch):
    """A folder with the files that the examples name."""
    shutil.copy(images / "kodim03.png", tmp_path / "photo.png")
    shutil.copy(images / "photo-sunset.png", tmp_path / "sunset.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(not DOCUMENTS, reason="the installed package has no documents")
@pytest.mark.parametrize("path", named(DOCUMENTS))
def test_examples_in_python(path, place):
    failures, _ = doctest.testfile(str(path), module_relative=False)
    assert failures == 0


@pytest.mark.skipif(not DOCUMENTS, reason="the installed package has no documents")
def test_there_are_examples():
    parser = doctest.DocTestParser()
    counts = [len(parser.get_examples(path.read_text(encoding="utf-8"))) for path in DOCUMENTS]
    assert counts[0] >= 5
    assert sum(counts) >= 60
    assert sum(len(commands(path)) for path in DOCUMENTS) >= 20


@pytest.mark.skipif(not DOCUMENTS, reason="the installed package has no documents")
@pytest.mark.parametrize("path", named(path for path in DOCUMENTS if commands(path)))
def test_examples_on_the_command_line(path, place, capsys, monkeypatch):
    """On small pictures under the names of the examples, one command after the other."""
    monkeypatch.setattr("fastkq.batch.pool.n_cores", lambda: 1)  # workers have tests of their own
    with Image.open("photo.png") as image:
        small = image.crop((300, 100, 460, 220))
    small.save("photo.png", compress_level=0)
    (place / "photos" / "deeper").mkdir(parents=True)
    (place / "in").mkdir()
    for name in ("photo.jpg", "scan.jpg", "in/a.jpg", "photos/b.jpg", "photos/deeper/c.jpg"):
        small.save(name, quality=100, subsampling=0)
    Image.fromarray(np.asarray(small.convert("L"))).save("face.png")
    Path("folder").mkdir()
    frames = [small.rotate(4 * i) for i in range(3)]
    for name in ("film.gif", "film.webp", "folder/film.gif"):
        frames[0].save(name, save_all=True, append_images=frames[1:])
    small.save("folder/photo.png", compress_level=0)
    for name in ("brand.hex", "display.hex"):
        Path(name).write_text("000000\nffffff\nd02020\n2050c0\n", encoding="ascii")
    for arguments in commands(path):
        assert main(arguments) == 0, arguments
        assert not capsys.readouterr().err, arguments
