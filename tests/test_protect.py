"""Patches of rare colors: `protect`."""

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.colors.histogram import histogram_of_array
from fastkq.colors.protect import find_lost_color, solid_counts, unlikeness

RED = (200, 25, 35)


def street(sign=True, n_noise=0):
    """A gray street of 240 x 320 with grain, a red sign of 0.2 %, and red pixels here and there."""
    rng = np.random.default_rng(0)
    image = np.linspace(230, 20, 240)[:, None, None] + rng.normal(0, 6, (240, 320, 1))
    image = image + rng.normal(0, 2, (240, 320, 3))
    image[:, ::40] -= 30
    if sign:
        image[100:112, 150:163] = RED + rng.normal(0, 3, (12, 13, 3))
    places = rng.choice(160 * 120, n_noise, replace=False)  # never two beside each other
    image[places // 160 * 2, places % 160 * 2] = RED
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("n_colors", [4, 6, 8])
def test_a_red_sign_in_a_gray_street_survives(n_colors):
    image = street()
    sign = np.s_[101:111, 151:162]
    lost, kept = (fastkq.quantize(image, n_colors, protect=each) for each in (False, True))
    assert np.ptp(lost.to_array()[sign].astype(int), axis=2).max() < 60  # it is gray
    assert np.abs(kept.to_array()[sign].reshape(-1, 3).mean(axis=0) - RED).max() < 8
    assert len(kept.palette) == n_colors
    assert np.array_equal(kept.labels, fastkq.remap(image, kept.palette))


def test_single_pixels_take_no_entry():
    image = street(sign=False, n_noise=150)
    plain, protected = (fastkq.quantize(image, 8, protect=each) for each in (False, True))
    assert np.array_equal(protected.palette, plain.palette)
    assert np.array_equal(protected.labels, plain.labels)


def test_nothing_lost_changes_nothing(images):
    for name in ("kodim03.png", "photo-sunset.png"):
        plain, protected = (
            fastkq.quantize(images / name, 256, protect=each) for each in (False, True)
        )
        assert np.array_equal(protected.palette, plain.palette)
        assert protected.inertia == plain.inertia


def test_it_goes_with_locked_colors_weights_and_every_effort():
    image = street()
    for effort in ("fast", "balanced", "best"):
        palette = fastkq.fit_palette(
            image, 8, effort=effort, locked=[[0, 0, 255]], protect=True
        ).astype(int)
        assert palette[0].tolist() == [0, 0, 255]
        assert np.abs(palette[1] - RED).max() < 8
    weights = np.ones(image.shape[:2], np.uint8)
    weights[100:112, 150:163] = 0  # what does not count is not protected
    palette = fastkq.fit_palette(image, 8, weights=weights, protect=True).astype(int)
    assert np.ptp(palette, axis=1).max() < 30


def test_a_histogram_and_a_wrong_flag_are_refused():
    histogram = fastkq.color_histogram(street())
    with pytest.raises(ValueError, match="image is a ColorHistogram; protect needs an image"):
        fastkq.fit_palette(histogram, 8, protect=True)
    with pytest.raises(TypeError, match="protect is 1; True or False is allowed"):
        fastkq.quantize(street(), 8, protect=1)


def slow_solid_counts(image, colors):
    """The squares of 2x2 pixels whose neighbors are similar, one by one."""
    image = image.reshape(*image.shape[:2], -1).astype(int) * [1, 1, 1]
    counts = dict.fromkeys(map(tuple, colors.tolist()), 0)
    for y in range(len(image) - 1):
        for x in range(image.shape[1] - 1):
            ring = image[[y, y, y + 1, y + 1, y], [x, x + 1, x + 1, x, x]]
            if np.abs(np.diff(ring, axis=0)).max() <= 24:
                counts[tuple(image[y, x].tolist())] += 1
    return list(counts.values())


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("block", [1, 70, 1 << 20])
def test_solid_squares_equal_their_twin(images, monkeypatch, gray, block):
    monkeypatch.setattr("fastkq.colors.protect.BLOCK_PIXELS", block)
    image = np.asarray(Image.open(images / "kodim03.png").convert("RGB"))[100:137, 200:231]
    image = image[..., 0] if gray else image
    histogram = histogram_of_array(image)
    expected = slow_solid_counts(image, histogram.colors)
    assert 0 < sum(expected) < image.shape[0] * image.shape[1] / 1.2
    assert solid_counts([image], histogram.codes).tolist() == expected
    weights = np.zeros(image.shape[:2], int)
    assert solid_counts([image], histogram.codes, weights).sum() == 0


def test_an_image_of_one_row_has_no_patch():
    line = street()[120:121]
    assert solid_counts([line], histogram_of_array(line).codes).sum() == 0
    assert len(fastkq.quantize(line, 4, protect=True).palette) == 4


def test_lightness_counts_half():
    # Gray 0 to gray 60: 3 * 60^2 / 4. Pure color of the same lightness: (30, -30, 0) counts whole.
    colors = np.array([[60, 60, 60], [80, 20, 50], [53, 50, 50]], float)
    others = np.array([[0, 0, 0], [50, 50, 50], [50, 50, 50]], float)
    expected = [3 * 60**2 / 4, 1800, 9 - 0.75 * 3]
    assert unlikeness(colors, others).tolist() == pytest.approx(expected)


def test_the_worst_patch_is_found_across_cubes():
    # Three reds on both sides of a border between cubes, nine solid pixels; two of a far blue.
    image = np.array([[[127, 0, 0], [128, 0, 0], [130, 0, 0], [0, 0, 250], [9, 9, 9]]], np.uint8)
    histogram = histogram_of_array(image)
    order = [tuple(color) for color in histogram.colors.tolist()]
    solid = {(127, 0, 0): 4, (128, 0, 0): 3, (130, 0, 0): 2, (0, 0, 250): 2, (9, 9, 9): 50}
    counts = np.array([solid[color] for color in order])
    palette, labels = np.array([[9, 9, 9]], np.uint8), np.zeros(5, np.uint8)

    def found(least, mse=10.0):
        color = find_lost_color(
            histogram.codes, counts, palette, labels, mse=mse, least_count=least
        )
        return None if color is None else color.tolist()

    assert found(9) == [128, 0, 0]  # the mean is 128
    assert found(10) is None
    # 128 lies 119, -9, -9 from the entry: (119 - 9 - 9)^2 / 3 of lightness count a quarter.
    distance = 119**2 + 2 * 81 - 0.75 * 101**2 / 3
    assert found(1, mse=(distance - 1) / 9) is not None
    assert found(9, mse=(distance + 200) / 9) is None
    assert found(1, mse=250**2) is None
