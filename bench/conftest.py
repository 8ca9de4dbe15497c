"""Options, fixtures and the table of pixels per second.

Every number of rounds is fixed, so that a stored run and a later one do the same work and
`--benchmark-compare` compares like with like; compiling is over before the first clock starts.
"""

from __future__ import annotations

import numba
import pytest
from pictures import SIZES, picture

from fastkq.install.warmup import warm_up

REAL_PHOTOS = ("kodak/kodim03.png", "large/louvre-24mp.jpg", "large/craft-beer-24mp.jpg")
# The dense path compares every point with every center: 24 MP would take seconds a round.
PICTURES = {"image": [*SIZES, *REAL_PHOTOS], "small_image": ["0.4 MP", "2.4 MP"]}
SMALL = 3_000_000  # pixels; below, a round is short and noisy, so there are more of them
ROUNDS, ROUNDS_SMALL = 7, 21
COLUMNS = ("picture", "K", "threads", "MP/s", "best MP/s")
TABLE = pytest.StashKey[list[tuple[str, dict[str, object]]]]()


def pytest_addoption(parser):
    """Add --quick."""
    parser.addoption(
        "--quick", action="store_true", help="smallest size only, one round: a smoke test"
    )


def pytest_configure(config):
    """Make room for the table."""
    config.stash[TABLE] = []


def pytest_generate_tests(metafunc):
    """Run each benchmark that takes a picture over all of them, or the smallest with --quick."""
    for fixture, names in PICTURES.items():
        if fixture in metafunc.fixturenames:
            chosen = names[:1] if metafunc.config.getoption("--quick") else names
            metafunc.parametrize(fixture, chosen, indirect=True, scope="session")


def _present(request):
    array = picture(request.param)
    if array is None:
        pytest.skip(f"../shared/photos/{request.param} is not here")
    return array


@pytest.fixture(scope="session")
def image(request):
    """An image (H, W, 3) uint8: synthetic of a size, or a real photo."""
    return _present(request)


@pytest.fixture(scope="session")
def small_image(request):
    """An image (H, W, 3) uint8 of at most 2.4 MP."""
    return _present(request)


@pytest.fixture(scope="session")
def _kernels_compiled():
    warm_up()


@pytest.fixture
def measure(benchmark, request, _kernels_compiled):
    """Time a function over so many pixels: `measure(function, n_pixels, K=..., setup=...)`.

    `setup`, if given, runs untimed before each round and returns (args, kwargs) for the function.
    `count` returns what work a result took, as `bench/work.py` counts it: numbers that are exact,
    and stored in `extra_info`. Returns what the function returned last.
    """
    quick = request.config.getoption("--quick")
    parameters = request.node.callspec.params

    def run(function, n_pixels, *, setup=None, count=None, **labels):
        facts = benchmark.extra_info
        facts["picture"] = parameters.get("image") or parameters.get("small_image")
        facts.update(labels, threads=numba.get_num_threads(), pixels=n_pixels)
        rounds = 1 if quick else ROUNDS_SMALL if n_pixels < SMALL else ROUNDS
        result = benchmark.pedantic(
            function, setup=setup, rounds=rounds, warmup_rounds=0 if quick else 1
        )
        if count is not None:
            facts.update(count(result))
        if benchmark.stats is not None:  # --benchmark-disable
            seconds = benchmark.stats.stats
            facts["MP/s"] = round(n_pixels / 1e6 / seconds.median, 1)
            facts["best MP/s"] = round(n_pixels / 1e6 / seconds.min, 1)
            name = " ".join(str(part) for part in (benchmark.group, parameters.get("init")) if part)
            request.config.stash[TABLE].append((name, facts))
        return result

    return run


@pytest.hookimpl(trylast=True)  # below pytest-benchmark's own tables
def pytest_terminal_summary(terminalreporter, config):
    """Print pixels per second of every benchmark: the number users watch."""
    rows = [
        [name, *(str(facts.get(column, "")) for column in COLUMNS)]
        for name, facts in config.stash[TABLE]
    ]
    if not rows:
        return
    rows.sort(key=lambda row: row[0])  # stable: within a stage, as run
    rows.insert(0, ["stage", *COLUMNS[:3], "MP/s, median", "best"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("million pixels per second")
    for row in rows:
        texts = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        terminalreporter.write_line("  ".join(texts + numbers))
