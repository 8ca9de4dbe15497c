"""Options, fixtures and the table of pixels per second."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import SIZES, photo, synthetic

from fastkq.warmup import warm_up

REAL_PHOTOS = ("large/louvre-24mp.jpg", "large/craft-beer-24mp.jpg")


def pytest_addoption(parser):
    """Add --quick."""
    parser.addoption(
        "--quick", action="store_true", help="smallest size only, one round: a smoke test"
    )


@pytest.fixture(scope="session", autouse=True)
def _kernels_compiled():
    warm_up()


def pytest_generate_tests(metafunc):
    """Run each benchmark that takes a picture over all sizes, or the smallest with --quick."""
    if "picture" in metafunc.fixturenames:
        names = [*SIZES, *REAL_PHOTOS]
        if metafunc.config.getoption("--quick"):
            names = names[:1]
        metafunc.parametrize("picture", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def picture(request):
    """An image (H, W, 3) uint8: synthetic of a size, or a real photo."""
    if request.param in SIZES:
        return synthetic(*SIZES[request.param])
    image = photo(request.param)
    if image is None:
        pytest.skip(f"../shared/photos/{request.param} is not here")
    return image


@pytest.fixture(scope="session")
def synthetic_small():
    """The synthetic image of 0.4 MP, for stages whose time is plainly linear in the pixels."""
    return synthetic(*SIZES["0.4 MP"])


@pytest.fixture
def measure(benchmark, request):
    """Time a function over so many pixels: `measure(function, n_pixels, **labels)`.

    The number of rounds is fixed, so that a stored run and a later one do the same work. Returns
    what the function returned.
    """
    quick = request.config.getoption("--quick")

    def run(function, n_pixels, **labels):
        benchmark.extra_info.update(labels, pixels=n_pixels)
        result = benchmark.pedantic(function, rounds=1 if quick else 7, warmup_rounds=not quick)
        if benchmark.stats is not None:  # --benchmark-disable
            seconds = benchmark.stats.stats
            benchmark.extra_info["MP/s"] = round(n_pixels / 1e6 / seconds.median, 1)
            benchmark.extra_info["best MP/s"] = round(n_pixels / 1e6 / seconds.min, 1)
        return result

    return run


def pytest_terminal_summary(terminalreporter, config):
    """Print pixels per second of every benchmark: the number users watch."""
    session = getattr(config, "_benchmarksession", None)
    rows = [bench for bench in getattr(session, "benchmarks", []) if "MP/s" in bench.extra_info]
    if not rows:
        return
    terminalreporter.section("million pixels per second, median (best)")
    for bench in rows:
        speed, best = bench.extra_info["MP/s"], bench.extra_info["best MP/s"]
        terminalreporter.write_line(f"{bench.name:62} {speed:10.1f} ({best:.1f})")


@pytest.fixture(scope="session")
def palette_of():
    """A palette with K distinct colors from the image itself, without running K-means."""

    def make(image, n_colors):
        pixels = image.reshape(-1, 3)
        colors = np.unique(pixels[:: max(1, len(pixels) // 50_000)], axis=0)
        return colors[np.linspace(0, len(colors) - 1, n_colors).astype(int)]

    return make
