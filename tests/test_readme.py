"""The README's examples run as they stand."""

import doctest
import shutil
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_examples(images, tmp_path, monkeypatch):
    if not README.exists():
        pytest.skip("the README is not part of an installed package")
    shutil.copy(images / "kodim03.png", tmp_path / "photo.png")
    shutil.copy(images / "photo-sunset.png", tmp_path / "sunset.png")
    monkeypatch.chdir(tmp_path)
    failures, examples = doctest.testfile(str(README), module_relative=False)
    assert failures == 0
    assert examples >= 8
