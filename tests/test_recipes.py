"""Each example of docs/recipes.md is a script that runs, where what it needs is installed."""

import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastkq

RECIPES = Path(__file__).parents[1] / "docs" / "recipes.md"
OWN = {"multiprocessing", "asyncio", "task"}  # what needs nothing
BLOCK = re.compile(r"<!-- test: ([\w ]+) -->\n```python\n(.*?)```", re.DOTALL)
SILENT = {"sklearn"}  # asserts, and prints nothing
# They start processes, which import the script, Ray half a dozen; or leave files open.
OF_ITS_OWN = {"multiprocessing", "ray pandas pyarrow", "webdataset"}
SLOW = {"ray pandas pyarrow"}


def recipes():
    if not RECIPES.exists():  # the documents are not part of an installed package
        return []
    found = BLOCK.findall(RECIPES.read_text(encoding="utf-8"))
    return [
        pytest.param(needs, code, id=needs, marks=[pytest.mark.slow] if needs in SLOW else [])
        for needs, code in found
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(9)
    for number in range(3):
        smooth = np.add.outer(np.arange(48) * 2, np.arange(64) * (1 + number))[..., None]
        image = (smooth * [1, 0.7, 0.4] % 200 + rng.integers(0, 30, (48, 64, 3))).astype(np.uint8)
        Image.fromarray(image).save(folder / "photos" / f"{number}.png")
    return folder


@pytest.mark.filterwarnings("default")  # of other packages
@pytest.mark.parametrize(("needs", "code"), recipes())
def test_a_recipe_gives_what_compress_gives(folder, monkeypatch, capsys, needs, code):
    for package in set(needs.split()) - OWN:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    script = folder / f"{needs.split()[0]}_recipe.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.chdir(folder)
    if needs in OF_ITS_OWN:
        command = [sys.executable, script]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert run.returncode == 0, run.stderr
        printed = run.stdout
    else:
        runpy.run_path(str(script), run_name="__main__")
        printed = capsys.readouterr().out
    expected = [
        len(fastkq.compress(path, n_colors=64)) for path in sorted((folder / "photos").iterdir())
    ]
    sizes = [int(line) for line in printed.splitlines() if line.isdigit()]
    assert sizes == ([] if needs in SILENT else expected)


def test_all_recipes_are_found():
    if not RECIPES.exists():
        pytest.skip("the documents are not part of an installed package")
    assert len(recipes()) == RECIPES.read_text(encoding="utf-8").count("```python") == 10
