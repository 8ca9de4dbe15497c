"""How long a new machine waits: seconds in a process that finds no compiled kernels."""

import os
import subprocess
import sys

import pytest
from pictures import SIZES, synthetic
from PIL import Image


@pytest.mark.benchmark(group="compile")
@pytest.mark.parametrize("command", ["compress", "warmup"])
def test_compile(benchmark, tmp_path, command):
    """`compress`: the first file ever, from start to finish; `warmup`: every kernel."""
    arguments = [command]
    if command == "compress":
        source, target = tmp_path / "photo.png", tmp_path / "small.png"
        Image.fromarray(synthetic(*SIZES["0.4 MP"])).save(source)
        arguments += [str(source), "-o", str(target)]
    cache = tmp_path / "cache"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}

    def run():
        return subprocess.run(
            [sys.executable, "-m", "fastkq", *arguments],
            env=environment,
            check=True,
            capture_output=True,
        )

    benchmark.pedantic(run, rounds=1)
    assert list(cache.rglob("*.nbc"))
    if command == "compress":
        with Image.open(target) as written:
            assert written.mode == "P"
    if benchmark.stats is not None:  # --benchmark-disable
        benchmark.extra_info["seconds"] = round(benchmark.stats.stats.min, 1)
