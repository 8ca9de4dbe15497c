"""Histograms: contents, sums, gray, and the two ways of counting."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastkq
from fastkq.colors import histogram as module
from fastkq.colors.histogram import (
    SORT_LIMIT,
    ColorHistogram,
    _count_by_sorting,
    _count_by_table,
    _spare_tables,
)

rgb_images = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda shape: (*shape, 3)),
    elements=st.integers(0, 255),
)
gray_images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def as_dict(histogram):
    pairs = zip(histogram.colors.tolist(), histogram.counts.tolist(), strict=True)
    return {tuple(color): count for color, count in pairs}


def count_in_python(image):
    counts = {}
    for pixel in image.reshape(-1, 3).tolist():
        counts[tuple(pixel)] = counts.get(tuple(pixel), 0) + 1
    return counts


@given(rgb_images)
def test_counts_are_those_of_a_dictionary(image):
    histogram = fastkq.color_histogram(image)
    assert as_dict(histogram) == count_in_python(image)
    assert histogram.n_pixels == image.shape[0] * image.shape[1]
    assert np.all(np.diff(histogram.codes.astype(np.int64)) > 0)


@given(gray_images)
def test_gray_counts_as_equal_channels(image):
    as_rgb = np.repeat(image[..., None], 3, axis=2)
    assert as_dict(fastkq.color_histogram(image)) == count_in_python(as_rgb)
    assert np.array_equal(fastkq.color_histogram(image).codes, fastkq.color_histogram(as_rgb).codes)


@given(rgb_images, rgb_images)
def test_the_sum_is_the_histogram_of_both(first, second):
    both = np.concatenate([first.reshape(1, -1, 3), second.reshape(1, -1, 3)], axis=1)
    added = fastkq.color_histogram(first) + fastkq.color_histogram(second)
    together = fastkq.color_histogram(both)
    assert np.array_equal(added.codes, together.codes)
    assert np.array_equal(added.counts, together.counts)
    assert np.array_equal(added.colors, together.colors)


def test_gray_and_rgb_add_up():
    gray = np.full((2, 3), 9, np.uint8)
    rgb = np.array([[[9, 9, 9], [1, 2, 3]]], np.uint8)
    added = fastkq.color_histogram(gray) + fastkq.color_histogram(rgb)
    assert as_dict(added) == {(9, 9, 9): 7, (1, 2, 3): 1}


def test_adding_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        fastkq.color_histogram(np.zeros((2, 2), np.uint8)) + 1


def test_large_gray_is_counted_in_blocks():
    image = np.arange((1 << 20) + 77, dtype=np.uint32).astype(np.uint8).reshape(1, -1)
    expected = np.bincount(image[0], minlength=256)
    assert fastkq.color_histogram(image).counts.tolist() == expected.tolist()


@pytest.mark.parametrize("n_pixels", [SORT_LIMIT - 1, SORT_LIMIT, SORT_LIMIT + 1])
def test_sorting_and_table_agree_around_the_limit(n_pixels):
    rng = np.random.default_rng(n_pixels)
    pixels = rng.integers(0, 256, (n_pixels, 3), dtype=np.uint8)
    pixels[: n_pixels // 2] = 7, 8, 9  # more than a counter holds
    by_sorting, by_table = _count_by_sorting(pixels), _count_by_table([pixels], len(pixels), 1)
    whole = fastkq.color_histogram(pixels.reshape(1, -1, 3))
    for histogram in (by_table, whole):
        assert np.array_equal(histogram.codes, by_sorting.codes)
        assert np.array_equal(histogram.counts, by_sorting.counts)


@pytest.mark.parametrize("n", [511, 512, 513, 4_095, 4_097])
@pytest.mark.parametrize("alpha", [0, 7, 255])
def test_runs_without_opaque_pixels_are_passed_over(n, alpha):
    pixels = np.random.default_rng(n).integers(0, 256, (9 * n, 4), np.uint8)
    pixels[:, 3] = np.repeat([255, 254, 0, alpha, alpha, alpha, 255, 3, 255], n)
    pixels[::1000, 3] = 255
    table = _count_by_table([pixels], len(pixels), 1)
    assert as_dict(table) == count_in_python(pixels[pixels[:, 3] == 255, :3])


def test_tables_go_back_empty():
    """The next image counts into the tables of the last one."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, SORT_LIMIT, 3), dtype=np.uint8)
    first = fastkq.color_histogram(image)
    assert len(_spare_tables) == 1
    assert not _spare_tables[0].any()
    again = fastkq.color_histogram(image)
    assert as_dict(again) == as_dict(first)
    assert len(_spare_tables) == 1


def test_it_pickles():
    histogram = fastkq.color_histogram(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    again = pickle.loads(pickle.dumps(histogram))  # noqa: S301 - our own bytes
    assert as_dict(again) == {(1, 2, 3): 1, (4, 5, 6): 1}


def test_repr_says_sizes():
    histogram = ColorHistogram(np.array([0], np.uint32), np.array([5]))
    assert repr(histogram) == "ColorHistogram(1 colors, 5 pixels)"


def test_one_set_of_tables_is_kept_after_many_threads():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    with ThreadPoolExecutor(12) as pool:
        counted = list(pool.map(lambda _: fastkq.color_histogram(image), range(24)))
    assert all(np.array_equal(each.counts, counted[0].counts) for each in counted)
    assert len(module._spare_tables) <= 1
    assert not module._spare_tables[0].any()
