"""What is seen counts for the palette: `masking`."""

import naive
import numpy as np
import pytest
from painting import PLAIN
from PIL import Image

import fastkq
from fastkq.colors.histogram import histogram_of_array
from fastkq.colors.masking import mask_colors, weigh_contrast
from fastkq.colors.pixels import as_rows
from fastkq.files import rows as blocks


def photo(images, shape=(97, 211)):
    image = np.asarray(Image.open(images / "photo-sunset.png").convert("RGB"))
    return as_rows(image[: shape[0], : shape[1]])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (97, 53)])
def test_colors_count_as_those_of_the_twin(images, shape):
    image = photo(images, shape)
    histogram = histogram_of_array(image)
    masked = mask_colors(histogram, [image])
    assert np.array_equal(masked.codes, histogram.codes)
    assert np.array_equal(masked.counts, naive.mask_colors(image, histogram.colors))


@pytest.mark.parametrize("n_channels", [0, 3, 4])
@pytest.mark.parametrize("n_rows", [1, 2, 40, 97])
def test_weights_by_blocks_are_those_of_the_whole(images, n_rows, n_channels):
    image = photo(images)
    if n_channels == 0:
        image = as_rows(image[..., 0])
    if n_channels == 4:
        image = as_rows(np.dstack([image, image[..., 0]]))
    whole = [weights for _, weights in weigh_contrast([image])]
    parts = [image[first : first + n_rows] for first in range(0, len(image), n_rows)]
    yielded = [*weigh_contrast(parts)]
    assert np.array_equal(np.concatenate([rows for rows, _ in yielded]), image)
    assert np.array_equal(np.concatenate([weights for _, weights in yielded]), whole[0])


def test_a_gradient_gets_more_colors_than_noise():
    """Half of an image is a smooth gradient, the other noise of other colors."""
    rng = np.random.default_rng(0)
    image = np.empty((128, 256), np.uint8)
    image[:, :128] = np.linspace(20, 90, 128)
    image[:, 128:] = rng.integers(120, 250, (128, 128))
    errors = {}
    for masking in (False, True):
        result = fastkq.quantize(image, 12, masking=masking)
        squares = (result.to_array().astype(float) - image) ** 2
        errors[masking] = squares[:, :128].mean(), squares[:, 128:].mean()
    assert errors[True][0] < 0.7 * errors[False][0]
    assert errors[True][1] > errors[False][1]


def test_rare_colors_count_more_than_their_pixels():
    """Three patches: a large one of near colors, a small one of two others far from each other."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[..., 2] = np.arange(100)[:, None] // 4
    image[:2, :2], image[-2:, -2:] = [200, 40, 60], [180, 70, 60]
    image[:2, -2:] = [190, 55, 90]
    palette = fastkq.fit_palette(image, 5, masking=True)
    assert np.sum(palette[:, 0] > 100) >= np.sum(fastkq.fit_palette(image, 5)[:, 0] > 100)


def test_few_colors_stay_exact(images):
    image = photo(images) // 64 * 64
    n_colors = len(np.unique(image.reshape(-1, 3), axis=0))
    result = fastkq.quantize(image, n_colors, masking=True)
    assert result.mse == 0


@pytest.mark.parametrize("dither", ["diffusion", "adaptive"])
def test_it_looks_closer(images, dither):
    """At as many colors, by SSIMULACRA 2; the error is that of all pixels alike."""
    image = np.asarray(Image.open(images / "kodim03.png").convert("RGB"))
    options = {"color_space": "oklab", "dither": dither, "score": True}
    plain = fastkq.quantize(image, 64, **options)
    masked = fastkq.quantize(image, 64, masking=True, **options)
    assert masked.score > plain.score + 0.5
    assert masked.inertia == np.sum((masked.to_array().astype(float) - image) ** 2)


def test_it_is_the_same_by_blocks(images, tmp_path, monkeypatch):
    image = photo(images)
    result = fastkq.quantize(image, 20, masking=True)
    monkeypatch.setattr(blocks, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", 7 * 211)
    fastkq.compress(image, tmp_path / "blocks.png", 20, masking=True, **PLAIN)
    with Image.open(tmp_path / "blocks.png") as decoded:
        assert np.array_equal(np.asarray(decoded.convert("RGB")), result.to_array())


def test_transparent_pixels_stay_so(images):
    image = np.dstack([photo(images), np.full((97, 211), 255, np.uint8)])
    image[:30, :, 3], image[30:40, :, 3] = 0, 128
    result = fastkq.quantize(image, 30, masking=True)
    shown = result.to_array()
    assert np.array_equal(shown[..., 3] == 0, image[..., 3] == 0)
    assert np.all(shown[40:, :, 3] == 255)


def test_what_excludes_it(images):
    image = photo(images)
    with pytest.raises(ValueError, match="weights is given, and masking"):
        fastkq.quantize(image, 4, masking=True, weights=np.ones(image.shape[:2]))
    with pytest.raises(ValueError, match="palette is given, and masking"):
        fastkq.compress(image, palette=[[0, 0, 0]], masking=True)
    with pytest.raises(ValueError, match="masking needs an image"):
        fastkq.fit_palette(fastkq.color_histogram(image), 4, masking=True)
    with pytest.raises(TypeError, match="masking is 1"):
        fastkq.quantize(image, 4, masking=1)
    with pytest.raises(ValueError, match="'shared'; masking"):
        fastkq.compress_many([], ".", palette="shared", masking=True)
