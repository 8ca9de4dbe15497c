"""Whatever the options and the format: `to_array()` is the decoded file, and `mse` is its error."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastkq

COLORS = [[255, 0, 0], [250, 240, 220], [9, 9, 9]]


def make_image(kind, seed):
    """A small image of smooth colors with some noise, of each kind that there is."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 24, 2)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([5 * x, 7 * y, 3 * x + 4 * y, 9 * x + 2 * y], axis=2)
    image = (smooth + rng.integers(0, 30, (height, width, 4))) % 256
    image[..., 3][rng.random((height, width)) < 0.3] = 0
    image[..., 3][rng.random((height, width)) < 0.3] = 255
    if kind == "mask":
        image[..., 3] = np.where(image[..., 3] > 99, 255, 0)
    channels = {"gray": 0, "gray + alpha": [0, 3], "RGB": [0, 1, 2]}.get(kind, slice(None))
    return np.ascontiguousarray(image[..., channels], np.uint8)


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


def as_rgba(array):
    """An array of any kind as (H, W, 4); what is fully transparent has no color."""
    if array.ndim == 2:
        array = array[..., None]
    alphas = array[..., -1:] if array.shape[2] in (2, 4) else np.full_like(array[..., :1], 255)
    colors = array[..., :3] if array.shape[2] > 2 else np.repeat(array[..., :1], 3, axis=2)
    return np.concatenate([colors, alphas], axis=2)


def error(image, other):
    """The squared error a pixel over black and over white, halved."""
    total = 0.0
    for level in (0, 255):
        over = []
        for rgba in (image, other):
            share = rgba[..., 3:] / 255
            over.append(rgba[..., :3] * share + level * (1 - share))
        total += np.sum((over[0] - over[1]) ** 2) / 2
    return total / image[..., 0].size


@settings(max_examples=150)
@given(
    kind=st.sampled_from(["gray", "gray + alpha", "RGB", "RGBA", "mask"]),
    seed=st.integers(0, 1000),
    n_colors=st.sampled_from([3, 4, 7, 16, 17, 64, 256]),
    format=st.sampled_from(["png", "webp", "gif"]),
    optimize=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "dither": st.sampled_from(["none", "diffusion", "ordered", "adaptive"]),
            "color_space": st.sampled_from(["srgb", "oklab"]),
            "effort": st.sampled_from(["fast", "balanced", "best"]),
            "init": st.sampled_from(["wu", "k-means++", "random"]),
            "locked": st.sampled_from([None, COLORS]),
            "protect": st.booleans(),
            "transparent": st.sampled_from(["black", "keep", "bleed"]),
            "background": st.sampled_from([None, "#336699"]),
        }
    ),
)
def test_the_array_is_the_file(kind, seed, n_colors, format, optimize, options):
    image = make_image(kind, seed)
    result = fastkq.quantize(image, n_colors, **options)
    shown = as_rgba(result.to_array())
    alphas = result.palette[:, 3] if result.palette.shape[1] == 4 else np.array([255])
    if format == "gif" and np.any((alphas > 0) & (alphas < 255)):
        with pytest.raises(ValueError, match="translucent"):
            result.encode(format)
        return
    decoded = decode(result.encode(format, optimize=optimize))
    if format == "gif":  # one index is transparent, whatever the color under it
        assert np.array_equal(decoded[..., 3], shown[..., 3])
        seen = shown[..., 3] > 0
        assert np.array_equal(decoded[seen], shown[seen])
    else:
        assert np.array_equal(decoded, shown)
    if options["background"] is None:
        assert result.mse == pytest.approx(error(as_rgba(image), shown), rel=1e-4, abs=1e-9)
