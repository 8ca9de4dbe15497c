"""Counting translucent colors: exactly while they are few, by cells of similar ones beyond."""

import pickle
from threading import Thread

import naive
import numba
import numpy as np
import pytest

from fastkq import kernels
from fastkq.colors import translucent
from fastkq.colors.spaces import (
    MAX_LEVEL,
    OKLAB_UNITS,
    to_alpha_colors,
    to_alpha_points,
    to_points,
)
from fastkq.colors.translucent import (
    MAX_EXACT,
    TOP_LEVEL,
    TranslucentColors,
    TranslucentCounter,
    count_translucent,
)


def random_pixels(n, seed=0, n_levels=256):
    """Opaque, transparent and translucent pixels, in runs."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, n_levels, (n, 4)).astype(np.uint8) * (255 // (n_levels - 1))
    pixels[: n // 5, 3] = 255
    pixels[n // 5 : n // 4, 3] = 0
    return np.roll(pixels, int(rng.integers(n + 1)), axis=0)


def contents(colors):
    return colors.level, colors.keys.tolist(), colors.moments.tolist()


def check_against_twin(colors, pixels, weights=None):
    rows = naive.translucent_cells(pixels, colors.level, weights)
    found = {
        key: tuple(row)
        for key, row in zip(colors.keys.tolist(), colors.moments.tolist(), strict=True)
    }
    assert found == rows
    assert np.all(np.diff(colors.keys.astype(np.int64)) > 0)
    if colors.level >= 0:
        smaller = naive.translucent_cells(pixels, colors.level - 1, weights)
        assert len(smaller) > MAX_EXACT, "the smallest cells that are few enough"


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 997, 30_011])
def test_few_colors_are_exact(n):
    pixels = random_pixels(n, n_levels=4)
    colors, n_transparent = count_translucent(pixels)
    assert colors.is_exact
    check_against_twin(colors, pixels)
    assert n_transparent == np.count_nonzero(pixels[:, 3] == 0)
    assert colors.n_pixels == np.count_nonzero((pixels[:, 3] > 0) & (pixels[:, 3] < 255))
    listed, counts = np.unique(
        pixels[(pixels[:, 3] > 0) & (pixels[:, 3] < 255)].view("<u4"), return_counts=True
    )
    assert colors.colors.view("<u4").ravel().tolist() == listed.tolist()
    assert colors.counts.tolist() == counts.tolist()


def test_an_image_without_translucent_pixels_has_none():
    for alpha in (0, 255):
        pixels = np.full((100, 4), alpha, np.uint8)
        colors, n_transparent = count_translucent(pixels)
        assert len(colors) == 0
        assert colors.points("oklab")[0].shape == (0, 4)
        assert n_transparent == (100 if alpha == 0 else 0)


@pytest.mark.parametrize(("n", "low_alpha"), [(100_001, 0), (150_001, 128), (400_009, 0)])
def test_many_colors_become_cells(n, low_alpha):
    pixels = random_pixels(n, seed=1)
    pixels[:, 3] = np.maximum(pixels[:, 3], low_alpha)
    colors, _ = count_translucent(pixels)
    assert 0 <= colors.level <= TOP_LEVEL
    assert len(colors) <= MAX_EXACT
    check_against_twin(colors, pixels)
    with pytest.raises(ValueError, match=r"cells; only exact colors can be listed"):
        _ = colors.colors


@pytest.mark.parametrize("n", [63, 64, 65, 127, 129, 1_999])
@pytest.mark.parametrize("alpha", [0, 1, 254, 255])
def test_strips_of_one_alpha_between_mixed_ones(n, alpha):
    """The kernel passes over strips that are opaque or transparent, weighted or not."""
    pixels = np.tile(random_pixels(n, seed=n), (3, 1))
    pixels[n : 2 * n, 3] = alpha
    for weights in (None, np.random.default_rng(n).integers(0, 3, 3 * n)):
        colors, n_transparent = count_translucent(pixels, weights)
        check_against_twin(colors, pixels, weights)
        own = np.ones(3 * n, int) if weights is None else weights
        assert n_transparent == own[pixels[:, 3] == 0].sum()


@pytest.mark.parametrize(("side", "level"), [(2, 0), (24, 1), (40, 2), (96, 3), (256, 4)])
def test_cells_of_every_level(side, level):
    """Hashed below level 3 and with slots of their own from there on, with weights or without."""
    pixels = np.random.default_rng(1).integers(0, side, (150_001, 4)).astype(np.uint8)
    pixels = 255 - pixels if side < 256 else pixels
    if side == 2:  # faint colors, which look alike
        pixels = np.random.default_rng(1).integers(0, 256, (150_001, 4)).astype(np.uint8)
        pixels[:, 3] = 1 + pixels[:, 3] % 8
    weights = np.random.default_rng(2).integers(1, 3, len(pixels))
    for own in (None, weights):
        colors, _ = count_translucent(pixels, own)
        assert colors.level == level
        check_against_twin(colors, pixels, own)


def test_levels_over_gray_are_rounded_as_a_division_does():
    level, alpha = (grid.ravel() for grid in np.mgrid[0:256, 0:256].astype(np.uint32))
    twice = 2 * level * alpha + 255 * (255 - alpha) + 255
    assert np.array_equal(((twice >> 1) * np.uint32(32897)) >> 23, twice // 510)


def test_many_pixels_of_one_color_overflow_no_word():
    """A word of 64 bits holds 512 pixels at most; 15 is the farthest place in a cell."""
    pixels = random_pixels(400_009, seed=1)
    pixels[100_000:] = [255, 255, 255, 16]
    colors, _ = count_translucent(pixels)
    check_against_twin(colors, pixels)


def test_weights_count_as_repeated_pixels():
    for n in (2_003, 150_001):
        pixels = random_pixels(n, seed=2)
        weights = np.random.default_rng(3).integers(0, 4, n).astype(np.uint32)
        colors, n_transparent = count_translucent(pixels, weights)
        again = count_translucent(np.repeat(pixels, weights, axis=0))
        assert contents(colors) == contents(again[0])
        assert n_transparent == again[1]
        check_against_twin(colors, pixels, weights)


@pytest.mark.parametrize("n", [3_001, 66_000, 300_007])
def test_parts_add_up_to_the_whole_however_they_are_cut(n):
    pixels = random_pixels(n, seed=4)
    whole, _ = count_translucent(pixels)
    rng = np.random.default_rng(5)
    for _ in range(3):
        cuts = np.sort(rng.integers(0, n, 5))
        parts = [count_translucent(part)[0] for part in np.split(pixels, cuts)]
        total = TranslucentColors()
        for i in rng.permutation(len(parts)):
            total = total + parts[i] if rng.random() < 0.5 else parts[i] + total
        assert contents(total) == contents(whole)


def test_a_counter_goes_on_from_part_to_part():
    for n in (5_003, 300_007):
        pixels = random_pixels(n, seed=4)
        weights = np.random.default_rng(1).integers(0, 3, n)
        counter = TranslucentCounter(n)
        for part in np.array_split(np.arange(n), 7):
            counter.add(pixels[part], weights[part])
        colors, n_transparent = counter.finish()
        whole, n_all = count_translucent(pixels, weights)
        assert contents(colors) == contents(whole)
        assert n_transparent == n_all


def test_tables_are_empty_again_after_an_image():
    """Those of a large image are used for the next one, whatever their level was."""
    many, few = random_pixels(3 * MAX_EXACT, seed=13), random_pixels(MAX_EXACT + 5, 14, n_levels=6)
    for pixels in (many, few, many, few):
        colors, n_transparent = count_translucent(pixels)
        check_against_twin(colors, pixels)
        assert n_transparent == np.count_nonzero(pixels[:, 3] == 0)
        for table in (0, 1, 2, 5):
            kept = translucent._spare_tables[0][table]
            assert np.all(kept == (kernels.translucent.FREE if table == 0 else 0))


def test_counters_of_several_threads_have_tables_of_their_own():
    images = [random_pixels(2 * MAX_EXACT + i, seed=20 + i) for i in range(4)]
    found = [None] * len(images)

    def count(i):
        found[i] = contents(count_translucent(images[i])[0])

    threads = [Thread(target=count, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [contents(count_translucent(pixels)[0]) for pixels in images]


def test_any_number_of_threads_counts_the_same(monkeypatch):
    monkeypatch.setattr(translucent, "MIN_SLAB", 1000)
    pixels = random_pixels(200_003, seed=6)
    before = numba.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2, 3, 4):
            numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
            found.append(contents(count_translucent(pixels)[0]))
    finally:
        numba.set_num_threads(before)
    assert all(one == found[0] for one in found)


def test_pickles_are_small_and_lead_back():
    for n in (0, 5_000, 150_001):
        colors, _ = count_translucent(random_pixels(n, seed=7))
        data = pickle.dumps(colors)
        assert contents(pickle.loads(data)) == contents(colors)  # noqa: S301 - made here
        assert len(data) < 300 + (colors.keys.nbytes + colors.moments.nbytes) / 3


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_points_of_cells_are_the_means_of_their_colors(space):
    pixels = random_pixels(150_001, seed=8)
    colors, _ = count_translucent(pixels)
    points, weights = colors.points(space)
    own = pixels[(pixels[:, 3] > 0) & (pixels[:, 3] < 255)]
    assert weights.sum() == len(own)
    mean = to_alpha_points(own, space).astype(float).mean(axis=0)
    # The fourth mean is exact, and so are those of sRGB but for rounding to whole levels.
    tolerance = 0.05 if space == "srgb" else OKLAB_UNITS / 200
    assert np.allclose(np.average(points, axis=0, weights=weights), mean, atol=tolerance)


def test_the_spread_within_cells_is_about_what_their_means_leave():
    pixels = random_pixels(300_007, seed=9)
    colors, _ = count_translucent(pixels)
    own = pixels[(pixels[:, 3] > 0) & (pixels[:, 3] < 255)]
    points = to_alpha_points(own, "srgb").astype(float)
    means, weights = colors.points("srgb")
    left = np.sum(points**2) - np.sum(weights * np.sum(means.astype(float) ** 2, axis=1))
    # Cells at the border of what can be seen are not filled.
    assert 0.9 * left < colors.spread < 1.4 * left


# --- colors with alpha in both spaces


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_opaque_points_are_those_without_alpha(space):
    colors = random_pixels(3_000)
    colors[:, 3] = 255
    points = to_alpha_points(colors, space)
    assert np.array_equal(points[:, :3], to_points(colors[:, :3], space))
    assert not points[:, 3].any()


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_points_lead_back_to_their_colors(space):
    colors = random_pixels(3_000)
    colors[:, 3] = np.maximum(colors[:, 3], 1)
    again = to_alpha_colors(to_alpha_points(colors, space), space)
    assert np.array_equal(again[:, 3], colors[:, 3])
    off = np.abs(again[:, :3].astype(int) - colors[:, :3])
    assert np.all(off * colors[:, 3:] <= (0 if space == "srgb" else MAX_LEVEL))
    clear = to_alpha_points(np.zeros((1, 4), np.uint8), space)
    assert to_alpha_colors(clear, space)[0, 3] == 1, "0 is kept for the exact entry"


def test_transparent_colors_are_one_point_far_from_the_opaque():
    colors = np.array([[9, 200, 3, 0], [0, 0, 0, 0]], np.uint8)
    for space in ("srgb", "oklab"):
        one, other = to_alpha_points(colors, space)
        assert np.array_equal(one, other)
    assert one[3] == OKLAB_UNITS / 2
