"""Dithering of images with alpha: translucent pixels too, and nothing crosses a gap."""

import naive
import naive_ordered
import numba
import numpy as np
import pytest
from steps import to_points, to_steps

import fastkq
from fastkq import kernels
from fastkq.colors.pixels import as_rows
from fastkq.paint.dither import PASSED_ON, Ditherer, Dithering
from fastkq.paint.mask import blue_noise_ranks

METHODS = ("diffusion", "ordered", "adaptive")
INKS = [[0, 0, 0], [255, 255, 255], [0, 255, 0], [0, 0, 255], [255, 0, 0], [255, 255, 0]]


def soft_image(height, width, seed=0):
    """Colors with opaque, translucent and fully transparent parts, and soft edges between."""
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(height) / 2, np.arange(width) / 3)[..., None] * [1, 0.7, 0.4]
    color = np.clip(smooth + rng.integers(0, 20, (height, width, 3)), 0, 255)
    waves = np.sin(np.arange(height) / 7)[:, None] + np.cos(np.arange(width) / 9 + seed)
    alpha = np.clip(200 + 250 * waves, 0, 255)
    return np.concatenate([color, alpha[..., None]], axis=2).astype(np.uint8)


def random_palette(n_colors, *, n_opaque, seed=0):
    """Entries of which the first is fully transparent, and the last so many are opaque."""
    palette = np.random.default_rng(seed).integers(0, 256, (n_colors, 4)).astype(np.uint8)
    palette[0] = 0
    palette[n_colors - n_opaque :, 3] = 255
    return palette


def dithered(image, palette, method, strength=1.0):
    """The labels of an image, and the error that is told."""
    labels, _ = naive.assign_alpha(image, palette)
    labels = labels.astype(np.uint8)
    return labels, Ditherer(palette, Dithering(method, strength)).dither(image, labels)


PALETTES = {
    "fine": random_palette(40, n_opaque=20),
    "no transparent": random_palette(40, n_opaque=20)[1:],
    "no opaque": random_palette(20, n_opaque=0),
    "one opaque": random_palette(9, n_opaque=1),
    "inks": np.array([[0, 0, 0, 0], [9, 9, 9, 120], *([*ink, 255] for ink in INKS)], np.uint8),
}


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("name", PALETTES)
def test_diffusion_is_that_of_its_twin(name, strength):
    image, palette = soft_image(31, 27), PALETTES[name]
    labels, _ = dithered(image, palette, "diffusion", strength)
    is_coarse = name == "inks"
    points = to_points(image, is_coarse=is_coarse)
    entries = to_points(palette[None], is_coarse=is_coarse)[0]
    passed_on = strength * (1 if is_coarse else PASSED_ON)
    twin = naive.diffuse_any(
        points, image[..., 3], entries, palette[:, 3], passed_on, is_coarse=is_coarse
    )
    assert np.array_equal(labels, twin)


@pytest.mark.parametrize("name", PALETTES)
def test_ordered_is_that_of_its_twin(name):
    image, palette = soft_image(70, 67), PALETTES[name]
    labels, _ = dithered(image, palette, "ordered", 0.8)
    nearest, _ = naive.assign_alpha(image, palette)
    is_coarse, alphas = name == "inks", image[..., 3]
    points = to_points(image, is_coarse=is_coarse)
    entries = to_points(palette[None], is_coarse=is_coarse)[0]
    if is_coarse:
        ranks = blue_noise_ranks()
        twin = naive.blend(points, alphas, entries, palette[:, 3], nearest, ranks, 0.8)
        assert np.array_equal(labels, twin)
        return
    is_exact = np.all(image == palette[nearest], axis=2)
    ranks = blue_noise_ranks()
    expected = naive_ordered.mix(
        points, alphas, entries, palette[:, 3], is_exact, nearest, ranks, 0.8
    )
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", PALETTES)
def test_opaque_pixels_stay_opaque_and_transparent_ones_transparent(name, method):
    image, palette = soft_image(150, 90), PALETTES[name]
    labels, error = dithered(image, palette, method)
    alphas, shown = image[..., 3], palette[labels]
    if np.any(palette[:, 3] == 255):
        assert np.all(shown[alphas == 255, 3] == 255)
    assert np.all(labels[alphas == 0] == np.argmin(palette[:, 3]))
    squares = [
        np.sum((naive.composite(image, level) - naive.composite(shown, level)) ** 2)
        for level in (0, 255)
    ]
    assert error == pytest.approx(np.mean(squares), rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["fine", "inks"])
def test_nothing_crosses_a_gap_or_begins_in_it(name, method):
    """Ten transparent columns, whatever color lies under them; 300 rows are three strips."""
    image, palette = soft_image(300, 80), PALETTES[name]
    image[:, 30:40, 3] = 0
    other = image.copy()
    other[:, :40, :3] = np.random.default_rng(5).integers(0, 256, (300, 40, 3))
    other[:, :30, 3] = 255 - other[:, :30, 3]
    one, _ = dithered(image, palette, method)
    two, _ = dithered(other, palette, method)
    assert np.array_equal(one[:, 30:], two[:, 30:])
    assert not np.array_equal(one[:, :30], two[:, :30])
    # Right of the gap, a picture begins: as if there were nothing.
    alone, _ = dithered(np.ascontiguousarray(image[:, 30:]), palette, method)
    if method == "adaptive" and name == "fine":
        assert np.array_equal(strengths_of(image)[:, 40:], strengths_of(image[:, 30:])[:, 10:])
    elif method == "diffusion" and name == "fine":
        assert np.array_equal(one[:, 30:], alone)


def strengths_of(image):
    table = np.arange(256, dtype=np.uint8)
    strengths = np.zeros(image.shape[:2], np.uint8)
    rows = as_rows(image).reshape(len(image), -1)
    kernels.contrast.map_alpha_strengths(rows, table, strengths)
    return strengths


@pytest.mark.parametrize("method", METHODS)
def test_the_color_under_transparent_pixels_does_not_matter(method):
    image, palette = soft_image(140, 70), PALETTES["fine"]
    other = image.copy()
    other[image[..., 3] == 0, :3] = [255, 0, 90]
    assert np.array_equal(dithered(image, palette, method)[0], dithered(other, palette, method)[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (41, 33)])
def test_strengths_are_those_of_the_twin(shape):
    image = soft_image(*shape)
    image[::3, ::2, 3] = 255
    strengths, twin = strengths_of(image), naive.map_alpha_strengths(image, np.arange(256))
    is_seen = image[..., 3] > 0
    assert np.array_equal(strengths[is_seen], twin[is_seen])


@pytest.mark.parametrize("method", METHODS)
def test_an_opaque_image_is_dithered_as_without_alpha(method):
    """A palette (K, 4) of opaque entries, or with others besides: the labels of (K, 3)."""
    image = soft_image(300, 70)
    image[..., 3] = 255
    palette, plain = PALETTES["fine"], np.ascontiguousarray(image[..., :3])
    own = np.flatnonzero(palette[:, 3] == 255)
    opaque = np.ascontiguousarray(palette[own])
    nearest = fastkq.remap(plain, opaque[:, :3])
    expected = nearest.copy()
    ditherer = Ditherer(np.ascontiguousarray(opaque[:, :3]), Dithering(method))
    error = ditherer.dither(plain, expected)
    for some, names in ((opaque, np.arange(len(own))), (palette, own)):
        for rows in (image, plain):
            labels = names[nearest].astype(np.uint8)
            assert Ditherer(some, Dithering(method)).dither(rows, labels) == error
            assert np.array_equal(labels, names[expected])


@pytest.mark.parametrize("method", ["ordered", "adaptive"])
def test_far_from_translucent_pixels_labels_are_those_of_an_opaque_image(method):
    image = soft_image(270, 300)
    image[..., 3] = 255
    palette = PALETTES["fine"]
    strength = 0.6 if method == "adaptive" else 1.0  # with more, errors hardly die out on their way
    expected, _ = dithered(image, palette, method, strength)
    image[:, :5, 3] = [0, 60, 120, 180, 240]
    labels, _ = dithered(image, palette, method, strength)
    assert np.array_equal(labels[:, 150:], expected[:, 150:])


@pytest.mark.parametrize("method", METHODS)
def test_a_soft_shadow_has_no_steps(method):
    """Of six alphas, means over the background are near to those of 256, on black and on white."""
    ramp = np.linspace(0, 160, 400)
    image = np.zeros((128, 400, 4), np.uint8)
    image[..., 3] = np.rint(ramp)
    palette = np.zeros((6, 4), np.uint8)
    palette[:, 3] = [0, 32, 64, 96, 128, 160]
    labels, _ = dithered(image, palette, method)
    plain, _ = naive.assign_alpha(image, palette)
    errors = [
        (palette[each, 3].astype(float) - image[..., 3]).reshape(128, 40, 10)
        for each in (labels, plain)
    ]
    far, steps = (np.abs(error.mean(axis=(0, 2))).max() for error in errors)
    assert steps > 12
    # In order, a fifth of the way between two alphas, of which these are 32 apart, may be missing.
    assert far < (0.2 * 32 if method == "ordered" else 2.5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["fine", "inks"])
def test_any_number_of_threads(name, method):
    if numba.config.NUMBA_NUM_THREADS < 4:
        pytest.skip(f"Numba was started with {numba.config.NUMBA_NUM_THREADS} threads")
    image, before = soft_image(611, 53), numba.get_num_threads()
    nearest = naive.assign_alpha(image, PALETTES[name])[0].astype(np.uint8)
    ditherer, results = Ditherer(PALETTES[name], Dithering(method)), set()
    try:
        for n_threads in (1, 2, 3, 4):
            numba.set_num_threads(n_threads)
            labels = nearest.copy()
            results.add((ditherer.dither(image, labels), labels.tobytes()))
    finally:
        numba.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["fine", "inks"])
@pytest.mark.parametrize("block_rows", [1, 64, 200])
def test_by_blocks_it_is_the_same(block_rows, name, method):
    image, palette = soft_image(533, 41), PALETTES[name]
    labels, error = dithered(image, palette, method)
    rows = (image[row : row + block_rows] for row in range(0, len(image), block_rows))
    ditherer = Ditherer(palette, Dithering(method))
    parts = list(
        ditherer.dither_blocks(
            rows, lambda some: naive.assign_alpha(some, palette)[0].astype(np.uint8)
        )
    )
    assert np.array_equal(np.concatenate([part for part, _ in parts]), labels)
    assert sum(own for _, own in parts) == pytest.approx(error, rel=1e-12)


def test_points_of_translucent_colors():
    """Over middle gray, mixed in levels; 510 steps from opaque to transparent."""
    image = np.array([[[255, 0, 10, 0], [255, 0, 10, 51], [255, 0, 10, 255]]], np.uint8)
    points = to_points(image, is_coarse=False)[0]
    # 51 of 255 is a fifth: 153, 102 and 104, exactly.
    over_gray = to_steps(np.array([[153, 102, 104], [255, 0, 10]], np.uint8))
    np.testing.assert_allclose(points[1:, :3], over_gray, atol=1e-2)
    gray = to_steps(np.array([[127, 127, 127], [128, 128, 128]], np.uint8)).mean(axis=0)
    np.testing.assert_allclose(points[0, :3], gray, atol=1e-2)
    assert points[:, 3].tolist() == [510, 408, 0]
    assert np.array_equal(points[2, :3], over_gray[1])


def test_no_opaque_dots_lie_on_a_shadow():
    """Beyond the darkest entry of a shadow, the way to an opaque one has the largest share."""
    palette = np.array([[0, 0, 0, 0], [0, 0, 0, 60], [0, 0, 0, 120], [150, 90, 30, 255]], np.uint8)
    image = np.zeros((64, 64, 4), np.uint8)
    image[..., 3] = np.arange(90, 154)
    image[:, -8:] = [150, 90, 30, 255]
    labels, _ = dithered(image, palette, "ordered")
    assert set(np.unique(labels[:, :56]).tolist()) == {1, 2}
    assert (labels[:, 56:] == 3).all()
