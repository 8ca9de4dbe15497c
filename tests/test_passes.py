"""The bar of one image that takes long: only on a terminal, and only where words are wanted."""

import re

import numpy as np
import pytest
from PIL import Image

from fastkq.batch import passes
from fastkq.batch.passes import with_bar
from fastkq.cli import main
from fastkq.files import rows
from fastkq.files.source import open_source


@pytest.fixture
def shown(monkeypatch):
    """As on a terminal, with each block of four rows shown at once; `shown(False)` ends it."""
    is_terminal = [True]
    monkeypatch.setattr(passes, "is_terminal", lambda _: is_terminal[-1])
    monkeypatch.setattr(passes, "DELAY", 0)
    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    monkeypatch.setattr(rows, "BLOCK_PIXELS", 160)
    return is_terminal.append


@pytest.fixture
def photo(tmp_path):
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(coarse).resize((40, 30)).save(path, compress_level=0)
    return path


@pytest.fixture
def film(tmp_path):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    frames = [Image.fromarray(np.roll(coarse, i, 1)).resize((48, 36)) for i in range(5)]
    path = tmp_path / "film.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    return path


def test_rows_are_shown_pass_by_pass(shown, photo, tmp_path, capsys):
    assert main([str(photo), "-o", str(tmp_path / "a.png"), "-k", "8", "--allow-larger"]) == 0
    told = capsys.readouterr().err
    assert re.findall(r"pass (\d):   0%\|.*?\| 0/30 ", told) == ["1", "2", "3"]
    assert told.endswith("\r")  # nothing of it is left
    shown(False)
    assert main([str(photo), "-o", str(tmp_path / "b.png"), "-k", "8", "--allow-larger"]) == 0
    assert capsys.readouterr().err == ""
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_frames_are_shown(shown, film, tmp_path, capsys):
    assert main([str(film), "-o", str(tmp_path / "a.webp"), "-k", "8", "--allow-larger"]) == 0
    assert re.findall(r"pass (\d):   0%\|.*?\| 0/5 ", capsys.readouterr().err) == ["1", "2"]
    shown(False)
    assert main([str(film), "-o", str(tmp_path / "b.webp"), "-k", "8", "--allow-larger"]) == 0
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()


@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_who_wants_no_words_gets_no_bar(shown, photo, tmp_path, capsys, flag):
    assert main([str(photo), "-o", str(tmp_path / "a.png"), "--allow-larger", flag]) == 0
    assert capsys.readouterr().err == ""


def test_a_quick_pass_shows_none(shown, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(passes, "DELAY", 60)
    assert main([str(photo), "-o", str(tmp_path / "a.png"), "--allow-larger"]) == 0
    assert capsys.readouterr().err == ""


def test_what_is_seen_is_what_comes(shown, photo):
    source = open_source(photo)
    followed = with_bar(source)
    assert followed is not source
    assert len(list(followed)) > 1
    for block, expected in zip(followed, source, strict=True):
        np.testing.assert_array_equal(block, expected)
    shown(False)
    assert with_bar(source) is source
