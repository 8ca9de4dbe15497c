"""Labels of pixels that are not opaque: those of comparing each with all entries."""

from threading import Thread

import naive
import numba
import numpy as np
import pytest

from fastkq import kernels
from fastkq.colors.spaces import to_alpha_points
from fastkq.engine.dense import DensePoints
from fastkq.paint import nearest
from fastkq.paint.nearest import NearestEntries

UNTOUCHED = 77  # the label of opaque pixels before


def random_pixels(n, seed=0, spread=256):
    """Opaque, transparent and translucent pixels in runs, some alike."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, spread, (n, 4)).astype(np.uint8)
    pixels[:, 3] = np.repeat(rng.integers(0, 256, -(-n // 3)), 3)[:n]
    pixels[n // 5 : n // 3, 3] = 255
    pixels[n // 3 : n // 2 : 2, 3] = 0
    return pixels


def random_palette(n, seed=0, spread=256):
    palette = np.random.default_rng(seed).integers(0, spread, (n, 4)).astype(np.uint8)
    palette[: n // 3, 3] = 255
    return palette


def expected(pixels, palette, space):
    """The labels by the dense kernels, and the error by composites."""
    labels = np.full(len(pixels), UNTOUCHED, np.uint8)
    others = pixels[:, 3] < 255
    points = to_alpha_points(pixels[others], space)
    labels[others] = naive.distances(points, to_alpha_points(palette, space)).argmin(axis=1)
    if np.any(palette[:, 3] == 0):
        labels[pixels[:, 3] == 0] = (palette[:, 3] == 0).argmax()
    one, other = pixels[others], palette[labels[others]]
    over = [
        np.sum((naive.composite(one, b) - naive.composite(other, b)) ** 2) for b in (0.0, 255.0)
    ]
    return labels, np.mean(over)


def label(pixels, palette, space="srgb"):
    labels = np.full(len(pixels), UNTOUCHED, np.uint8)
    return labels, NearestEntries(palette, space).label(pixels, labels)


@pytest.mark.parametrize("space", ["srgb", "oklab"])
@pytest.mark.parametrize("n_entries", [1, 2, 15, 16, 17, 256])
@pytest.mark.parametrize("spread", [256, 20])
def test_labels_and_error_are_those_of_a_twin(space, n_entries, spread):
    pixels = random_pixels(5_003, spread=spread)
    palette = random_palette(n_entries, seed=1, spread=spread)
    labels, error = label(pixels, palette, space)
    twin, twin_error = expected(pixels, palette, space)
    assert np.array_equal(labels, twin)
    assert error == pytest.approx(twin_error, rel=1e-9)


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_many_pixels_are_labeled_as_the_dense_kernel_does(space):
    pixels = random_pixels(300_007, seed=2)
    palette = random_palette(200, seed=3)
    labels, _ = label(pixels, palette, space)
    chosen = (pixels[:, 3] > 0) & (pixels[:, 3] < 255)
    points = to_alpha_points(pixels[chosen], space)
    dense, _ = DensePoints(points, np.ones(len(points))).assign(to_alpha_points(palette, space))
    assert np.array_equal(labels[chosen], dense)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33])
def test_odd_numbers_of_pixels(n):
    pixels, palette = random_pixels(n, seed=n), random_palette(5)
    twin, twin_error = expected(pixels, palette, "srgb")
    labels, error = label(pixels, palette)
    assert np.array_equal(labels, twin)
    assert error == pytest.approx(twin_error, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n", [127, 128, 129, 255, 256, 257])
@pytest.mark.parametrize("alpha", [0, 1, 254, 255])
def test_strips_of_one_alpha_between_mixed_ones(n, alpha):
    """The kernel passes over strips of opaque pixels; a label that is remembered stays right."""
    pixels, palette = np.tile(random_pixels(n, seed=n), (3, 1)), random_palette(40, seed=1)
    pixels[n : 2 * n, 3] = alpha
    twin, twin_error = expected(pixels, palette, "srgb")
    labels, error = label(pixels, palette)
    assert np.array_equal(labels, twin)
    assert error == pytest.approx(twin_error, rel=1e-9)


@pytest.mark.parametrize("n_near", [1, 2, 3, 4, 7, 8, 9, 40])
def test_short_and_long_lists(n_near):
    """So many entries share a cell: up to 3 or 7 in one word, or more in groups."""
    rng = np.random.default_rng(n_near)
    palette = np.full((n_near + 2, 4), 255, np.uint8)
    palette[:2] = [[0, 0, 0, 255], [255, 255, 255, 1]]
    palette[2:] = rng.integers(120, 128, (n_near, 4))
    pixels = rng.integers(118, 130, (4_001, 4)).astype(np.uint8)
    assert np.array_equal(label(pixels, palette)[0], expected(pixels, palette, "srgb")[0])


def test_colors_that_share_a_place_in_the_memo_keep_their_labels():
    """Their mixed numbers differ in the low bits only, those of the tag."""
    mixed = np.arange(3_000, dtype=np.uint32) * np.uint32(5)  # all below 2^18: one place
    inverse = np.uint32(pow(int(kernels.entries.HASH), -1, 1 << 32))
    pixels = np.tile((mixed * inverse).view(np.uint8).reshape(-1, 4), (2, 1))
    palette = random_palette(60, seed=3)
    twin, twin_error = expected(pixels, palette, "srgb")
    labels, error = label(pixels, palette)
    assert np.array_equal(labels, twin)
    assert error == pytest.approx(twin_error, rel=1e-9)


def test_transparent_pixels_take_the_first_transparent_entry():
    palette = np.array([[9, 9, 9, 255], [200, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], np.uint8)
    pixels = np.array([[255, 255, 255, 0], [1, 1, 1, 0]], np.uint8)
    assert label(pixels, palette)[0].tolist() == [1, 1]
    assert label(pixels, palette)[1] == 0
    labels, error = label(pixels, palette[[0, 3]])
    assert labels.tolist() == [1, 1]
    # Black of alpha 1 takes a level from white in three channels, and nothing from black.
    assert error == pytest.approx(2 * 3 / 2)


def test_ties_go_to_the_lowest_index():
    palette = np.array([[8, 0, 0, 255], [0, 0, 0, 100], [0, 0, 0, 100], [0, 0, 0, 0]], np.uint8)
    pixels = np.array([[0, 0, 0, 99], [0, 0, 0, 50]], np.uint8)
    assert label(pixels, palette)[0].tolist() == [1, 1]


def test_the_error_of_colors_of_the_palette_is_zero():
    palette = random_palette(100, seed=5)
    pixels = np.repeat(palette, 7, axis=0)
    assert label(pixels, palette)[1] == 0


def test_where_the_lists_are_full_all_entries_are_compared(monkeypatch):
    """The table of lists is filled beforehand, but for one list."""
    pixels, palette = random_pixels(3_001, seed=6), random_palette(60, seed=7)
    entries = NearestEntries(palette)
    entries.label(pixels[:1], np.empty(1, np.uint8))
    tables = entries._spare[0]
    tables.n_used[:, 1] = kernels.entry_lists.N_GROUPS - 256 // kernels.entry_lists.LANES
    labels = np.full(len(pixels), UNTOUCHED, np.uint8)
    entries.label(pixels, labels)
    assert tables.n_used[0, 1] <= kernels.entry_lists.N_GROUPS
    assert np.array_equal(labels, expected(pixels, palette, "srgb")[0])


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_any_number_of_threads_and_calls(monkeypatch, space):
    monkeypatch.setattr(nearest, "MIN_SLAB", 1000)
    pixels, palette = random_pixels(30_011, seed=8), random_palette(100, seed=9)
    before = numba.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2, 3, 4):
            numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
            labels, error = label(pixels, palette, space)
            found.append((labels.tobytes(), error))
    finally:
        numba.set_num_threads(before)
    assert len(set(found)) == 1
    entries, labels = NearestEntries(palette, space), np.full(len(pixels), UNTOUCHED, np.uint8)
    errors = [
        entries.label(pixels[i : i + 777], labels[i : i + 777]) for i in range(0, 30_011, 777)
    ]
    assert labels.tobytes() == found[0][0]
    assert sum(errors) == pytest.approx(found[0][1], rel=1e-12)


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_tables_of_another_palette_are_left_empty(space):
    """Those of a palette that is no longer used serve the next one."""
    for seed, n_entries in enumerate((200, 3, 100, 256)):
        pixels, palette = random_pixels(70_001, seed=seed), random_palette(n_entries, seed=seed)
        labels, _ = label(pixels, palette, space)
        assert np.array_equal(labels, expected(pixels, palette, space)[0])
        assert len(nearest._spare_tables) == 1


def test_threads_may_share_the_entries():
    pixels, palette = random_pixels(20_011, seed=10), random_palette(100, seed=11)
    entries = NearestEntries(palette)
    results = [np.full(len(pixels), UNTOUCHED, np.uint8) for _ in range(4)]
    threads = [Thread(target=entries.label, args=(pixels, labels)) for labels in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    twin, _ = expected(pixels, palette, "srgb")
    assert all(np.array_equal(labels, twin) for labels in results)
