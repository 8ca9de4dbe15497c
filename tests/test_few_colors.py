"""Dithering with few colors: their mixtures are seen as the mean of their light."""

import io

import naive
import numba
import numpy as np
import pytest
from PIL import Image
from steps import to_points

import fastkq
from fastkq.colors.spaces import linear_levels
from fastkq.files import rows as blocks
from fastkq.files.read import read_image
from fastkq.paint.dither import Ditherer, Dithering
from fastkq.paint.mask import blue_noise_ranks
from fastkq.paint.tables import make_tables

METHODS = ("diffusion", "ordered", "adaptive")
INKS = [[0, 0, 0], [255, 255, 255], [0, 255, 0], [0, 0, 255], [255, 0, 0], [255, 255, 0]]
PALETTES = {
    "black and white": [[0, 0, 0], [255, 255, 255]],
    "7 inks": [*INKS, [255, 128, 0]],
    "4 grays": [[v, v, v] for v in (0, 85, 170, 255)],
    "8 corners": [[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)],
    "muted": [[20, 20, 30], [230, 220, 210], [200, 40, 40], [40, 160, 60], [50, 60, 190]],
}
OPAQUE = ((0, 0), (0, 0), (0, 1))


def palette_of(name):
    return np.array(PALETTES[name], np.uint8)


def to_light(levels):
    return linear_levels()[np.asarray(levels, np.uint8)]


def to_levels(light):
    return np.searchsorted(linear_levels(), light).astype(np.uint8)


def gradient(height, width, seed=0):
    """An image of all hues, smooth, with some noise."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    smooth = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    return np.clip(smooth + rng.integers(0, 9, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", PALETTES)
def test_such_palettes_are_coarse_and_those_of_photos_are_not(name, images):
    assert make_tables(palette_of(name)).is_coarse
    assert make_tables(np.repeat(palette_of(name), 3, axis=0)).is_coarse
    assert not make_tables(palette_of(name)[:1]).is_coarse
    for path in sorted(images.glob("kodim*.png")):
        assert not make_tables(fastkq.quantize(path, 16).palette).is_coarse


def test_most_entries_tell_whether_a_palette_is_coarse():
    """A photo that fades away keeps few opaque entries, far apart, beside many translucent ones."""
    rng = np.random.default_rng(0)
    few = np.array([[0, 0, 0, 255], [255, 255, 255, 255], [255, 0, 0, 255]], np.uint8)
    many = rng.integers(1, 250, (200, 4)).astype(np.uint8)
    assert not make_tables(np.concatenate([few, many])).is_coarse
    assert not make_tables(np.concatenate([few, many[:20]])).is_coarse
    assert make_tables(np.concatenate([few, many[:2]])).is_coarse
    far = np.array([[0, 0, 0, 128], [255, 255, 255, 128], [255, 0, 0, 90], [0, 255, 0, 128]])
    assert make_tables(np.concatenate([few, far.astype(np.uint8)])).is_coarse


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", PALETTES)
def test_the_light_of_a_flat_patch_is_that_of_its_color(name, method):
    palette = palette_of(name)
    shares = np.random.default_rng(3).dirichlet(np.full(len(palette), 0.6), 8)
    for mixed in shares @ to_light(palette):
        color = to_levels(mixed)
        labels = fastkq.remap(np.full((200, 160, 3), color, np.uint8), palette, dither=method)
        mean = to_light(palette[labels]).mean(axis=(0, 1))
        # Colors are rounded to levels, a part of them out of reach.
        assert np.abs(mean - to_light(color)).max() < 0.008, color


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [1, 10, 64, 118, 128, 200, 250])
def test_gray_is_of_black_and_white_among_inks(method, level):
    palette = palette_of("7 inks")
    labels = fastkq.remap(np.full((256, 192, 3), level, np.uint8), palette, dither=method)
    assert labels.max() <= 1
    assert abs(labels.mean() - to_light(level)) < max(0.02 * to_light(level), 0.0004)


@pytest.mark.parametrize("method", METHODS)
def test_shares_of_white_lie_between_those_of_light_and_of_pillow(method):
    black_and_white = palette_of("black and white")
    pillows = Image.new("P", (1, 1))
    pillows.putpalette(black_and_white.ravel().tolist())
    for level in (1, 2, 5, 10, 20, 64, 128, 200, 254):
        image = np.full((400, 400), level, np.uint8)
        quantized = Image.fromarray(image).convert("RGB").quantize(palette=pillows, dither=1)
        share = fastkq.remap(image, black_and_white, dither=method).mean()
        assert share <= np.asarray(quantized).mean()
        # A dot more or less in a patch of 160,000 pixels has to be allowed.
        assert share >= 0.97 * to_light(level) - 0.0002, level


@pytest.mark.parametrize("method", METHODS)
def test_colors_out_of_reach_leave_their_luminance(method):
    """Black and white cannot be red; errors of hue must not make it black."""
    image = np.full((128, 128, 3), [230, 40, 20], np.uint8)
    labels = fastkq.remap(image, palette_of("black and white"), dither=method)
    luminance = to_light([230, 40, 20]) @ [0.2126, 0.7152, 0.0722]
    assert abs(labels.mean() - luminance) < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_entries_are_exact(method):
    palette = palette_of("muted")
    exact = np.random.default_rng(1).integers(0, 5, (150, 70)).astype(np.uint8)
    assert np.array_equal(fastkq.remap(palette[exact], palette, dither=method), exact)


@pytest.mark.parametrize("method", METHODS)
def test_the_error_is_that_of_the_levels(method):
    image, palette = gradient(140, 50), palette_of("muted")
    labels = fastkq.remap(image, palette)
    error = Ditherer(palette, Dithering(method)).dither(image, labels)
    assert error == np.sum((palette[labels].astype(int) - image) ** 2)
    assert isinstance(error, int)


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("name", ["black and white", "7 inks", "muted"])
def test_diffusion_is_that_of_its_twin(name, strength):
    image, palette = gradient(23, 19), palette_of(name)
    labels = fastkq.remap(image, palette, dither="diffusion", dither_strength=strength)
    points, entries = points_of(image, palette)
    alphas, own = np.full(labels.shape, 255), np.full(len(palette), 255)
    twin = naive.diffuse_any(points, alphas, entries, own, strength, is_coarse=True)
    assert np.array_equal(labels, twin)
    adaptive = fastkq.remap(image, palette, dither="adaptive", dither_strength=strength)
    assert np.array_equal(adaptive, twin)


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("name", ["black and white", "7 inks", "muted"])
@pytest.mark.parametrize("shape", [(70, 19), (19, 67)])  # past the ranks, which repeat after 64
def test_ordered_is_that_of_its_twin(shape, name, strength):
    image, palette = gradient(*shape), palette_of(name)
    labels = fastkq.remap(image, palette, dither="ordered", dither_strength=strength)
    points, entries = points_of(image, palette)
    alphas, own = np.full(labels.shape, 255), np.full(len(palette), 255)
    nearest = fastkq.remap(image, palette)
    twin = naive.blend(points, alphas, entries, own, nearest, blue_noise_ranks(), strength)
    assert np.array_equal(labels, twin)


def points_of(image, palette):
    with_alpha = np.pad(image, OPAQUE, constant_values=255)
    entries = np.pad(palette, OPAQUE[1:], constant_values=255)
    return to_points(with_alpha, is_coarse=True), to_points(entries[None], is_coarse=True)[0]


def test_light_in_steps():
    """Luminance from 0 to 1020, and what red and blue have more than that."""
    image = np.array([[[0, 0, 0, 255], [255, 255, 255, 255], [255, 0, 128, 255]]], np.uint8)
    red, _, blue = light = to_light([255, 0, 128])
    luminance = light @ [0.2126, 0.7152, 0.0722]
    expected = [luminance, red - luminance, blue - luminance, 0]
    steps = to_points(image, is_coarse=True)[0]
    np.testing.assert_allclose(steps[0], 0)
    np.testing.assert_allclose(steps[1], [1020, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(steps[2], 1020 * np.array(expected), atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_threads(method):
    if numba.config.NUMBA_NUM_THREADS < 4:
        pytest.skip(f"Numba was started with {numba.config.NUMBA_NUM_THREADS} threads")
    image, before = gradient(611, 73), numba.get_num_threads()
    results = set()
    try:
        for n_threads in (1, 2, 3, 4):
            numba.set_num_threads(n_threads)
            results.add(fastkq.remap(image, PALETTES["7 inks"], dither=method).tobytes())
    finally:
        numba.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("block_rows", [10, 100])
def test_by_blocks_it_is_the_same(method, block_rows, monkeypatch):
    image, palette = gradient(333, 57), PALETTES["7 inks"]
    labels = fastkq.remap(image, palette, dither=method)
    monkeypatch.setattr(blocks, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", block_rows * 57)
    target = io.BytesIO()
    fastkq.compress(image, target, palette=palette, dither=method)
    with Image.open(target) as decoded:
        assert np.array_equal(np.asarray(decoded), labels)


def test_a_photo_of_few_colors_keeps_its_light(images):
    """The mean light of parts of a photo, in the reach of its palette."""
    photo = read_image(images / "kodim03.png").array
    palette = palette_of("8 corners")
    for method in METHODS:
        labels = fastkq.remap(photo, palette, dither=method)
        height, width = (side // 16 for side in labels.shape)
        parts = np.s_[: 16 * height, : 16 * width]
        shape = (height, 16, width, 16, 3)
        shown, light = (
            to_light(levels[parts]).reshape(shape).mean(axis=(1, 3))
            for levels in (palette[labels], photo)
        )
        assert np.sqrt(np.mean((shown - light) ** 2)) < 0.03
        assert np.abs(shown.mean(axis=(0, 1)) - light.mean(axis=(0, 1))).max() < 0.003
