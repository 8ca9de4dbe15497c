"""How much pixels count: `weights`."""

import numpy as np
import pytest
from painting import PLAIN
from PIL import Image

import fastkq
from fastkq.colors.histogram import histogram_of_array
from fastkq.colors.weights import check_weights, weigh_colors
from fastkq.files.read import read_weights


def photo(images):
    return np.asarray(Image.open(images / "photo-sunset.png").convert("RGB"))[:97, :211]


def ramp():
    """Two rows, four gray levels."""
    return np.array([[0, 0, 10, 10], [200, 200, 210, 210]], np.uint8)


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
@pytest.mark.parametrize("weight", [1, 1.0, True, 7, 0.3])
def test_weights_that_are_all_equal_change_nothing(images, effort, weight):
    image = photo(images)
    weights = np.full(image.shape[:2], weight)
    plain = fastkq.quantize(image, 12, effort=effort)
    weighted = fastkq.quantize(image, 12, effort=effort, weights=weights)
    assert np.array_equal(weighted.palette, plain.palette)
    assert np.array_equal(weighted.labels, plain.labels)
    assert (weighted.inertia, weighted.n_iter) == (plain.inertia, plain.n_iter)


@pytest.mark.parametrize("gray", [False, True])
def test_integer_weights_repeat_pixels(images, gray):
    image = photo(images)[..., 0] if gray else photo(images)
    weights = np.random.default_rng(0).integers(0, 4, image.shape[:2])
    n_channels = image.shape[2:]
    repeated = np.repeat(image.reshape(-1, *n_channels), weights.ravel(), axis=0)[None]
    expected = fastkq.fit_palette(repeated, 10)
    assert np.array_equal(fastkq.fit_palette(image, 10, weights=weights), expected)
    result = fastkq.quantize(image, 10, weights=weights)
    assert np.array_equal(result.palette, expected)
    # All pixels are labeled, and the error is what is seen, whatever counts.
    assert np.array_equal(result.labels, fastkq.remap(image, expected))
    assert result.mse == np.mean((result.to_array().astype(float) - image) ** 2) * 3
    assert not np.array_equal(expected, fastkq.fit_palette(image, 10))


def test_a_common_factor_changes_nothing(images):
    image = photo(images)
    weights = np.random.default_rng(0).integers(1, 200, image.shape[:2], dtype=np.uint8)
    palettes = [
        fastkq.fit_palette(image, 9, weights=each)
        for each in (weights, weights.astype(int) * 35, weights * 0.5, weights * 64.0)
    ]
    assert np.array_equal(palettes[0], palettes[1])
    assert np.array_equal(palettes[2], palettes[3])


def test_what_does_not_count_gets_the_nearest_entry():
    weights = [[1, 1, 1, 1], [0, 0, 0, 0]]
    result = fastkq.quantize(ramp(), 2, weights=weights)
    assert result.palette[:, 0].tolist() == [0, 10]
    assert result.labels.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert result.inertia == 3 * 2 * (190**2 + 200**2)


def test_a_palette_lies_where_the_weight_is():
    # (1 * 0 + 4 * 10) / 5 = 8 and (3 * 200 + 2 * 210) / 5 = 204.
    weights = np.array([[0.25, 0.25, 1, 1], [0.75, 0.75, 0.5, 0.5]])
    assert fastkq.fit_palette(ramp(), 2, weights=weights)[:, 0].tolist() == [8, 204]


def test_few_colors_are_kept_all_the_same():
    weights = [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert fastkq.quantize(ramp(), 4, weights=weights).inertia == 0


def test_colors_are_weighed():
    image = ramp()
    histogram = histogram_of_array(image)
    weighed = weigh_colors(histogram, [image], check_weights([[2, 4, 0, 0], [2, 2, 0, 8]], (2, 4)))
    assert weighed.colors[:, 0].tolist() == [0, 200, 210]
    assert weighed.counts.tolist() == [3, 2, 4]  # all halved
    scaled = check_weights([[0.5, 1.0, 0.25, 1e-9]], (1, 4))
    assert scaled.tolist() == [[1 << 15, 1 << 16, 1 << 14, 0]]
    assert check_weights([[0, 1 << 40, 1]], (1, 3)).tolist() == [[0, 1 << 16, 0]]


def test_a_large_gray_image_is_weighed_by_blocks(monkeypatch):
    from fastkq.colors import pixels as module

    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (31, 37), dtype=np.uint8)
    weights = rng.integers(0, 9, image.shape)
    expected = np.bincount(image.ravel(), weights=weights.ravel(), minlength=256)
    monkeypatch.setattr(module, "PART_PIXELS", 100)
    weighed = weigh_colors(histogram_of_array(image), [image], weights)
    assert np.array_equal(weighed.colors[:, 0], np.flatnonzero(expected))
    assert np.array_equal(weighed.counts, expected[expected > 0])


@pytest.mark.parametrize(
    ("weights", "kind", "message"),
    [
        (np.ones((2, 3)), ValueError, r"weights has shape \(2, 3\); .* must be \(2, 4\)"),
        (np.ones(8), ValueError, r"weights has shape \(8,\)"),
        (np.ones((2, 4), complex), TypeError, "weights has dtype complex128; real numbers"),
        ([["a"] * 4] * 2, TypeError, "weights has dtype <U1"),
        (np.zeros((2, 4)), ValueError, "weights is 0 everywhere"),
        ([[0, 1, 1, 1], [1, 1, 1, -1]], ValueError, "weights has values from -1 to 1; finite"),
        ([[0, 1, 1, 1], [1, 1, 1, np.nan]], ValueError, "weights has values from nan"),
        ([[0, 1, 1, 1], [1, 1, 1, np.inf]], ValueError, "values from 0.0 to inf"),
    ],
)
def test_bad_weights(weights, kind, message):
    for call in (fastkq.quantize, fastkq.fit_palette):
        with pytest.raises(kind, match=message):
            call(ramp(), 2, weights=weights)


def test_a_histogram_has_no_places():
    histogram = fastkq.color_histogram(ramp())
    with pytest.raises(ValueError, match="image is a ColorHistogram; weights needs an image"):
        fastkq.fit_palette(histogram, 2, weights=np.ones((2, 4)))


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_an_image_by_blocks_takes_weights_and_protect(images, tmp_path, monkeypatch, channels):
    photo = np.asarray(Image.open(images / "kodim03.png").convert("RGBA"))[:200, :300]
    image = photo[..., 1] if channels == () else photo[..., : channels[0]].copy()
    if channels == (4,):
        image[50:90, :, 3] = np.arange(300) * 255 // 299
    scan = np.lib.format.open_memmap(tmp_path / "scan.npy", "w+", np.uint8, image.shape)
    scan[:] = image
    weights = np.random.default_rng(0).integers(0, 9, image.shape[:2])
    for options in ({"weights": weights}, {"protect": True}, {"weights": weights, "protect": True}):
        expected = fastkq.quantize(image, 13, **options)
        with monkeypatch.context() as patch:
            patch.setattr("fastkq.files.rows.LARGE_PIXELS", 100)
            patch.setattr("fastkq.files.rows.BLOCK_PIXELS", 300 * 7)
            report = fastkq.compress(scan, tmp_path / "out.png", 13, **PLAIN | options)
        assert report.mse == expected.mse
        with Image.open(tmp_path / "out.png") as decoded:
            assert np.array_equal(np.asarray(decoded), expected.labels)


def test_a_mask_is_a_gray_image(tmp_path):
    mask = np.array([[0, 255, 7]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "gray.png")
    Image.fromarray(mask[..., None].repeat(3, axis=2)).save(tmp_path / "rgb.png")
    for name in ("gray.png", "rgb.png"):
        assert np.array_equal(read_weights(tmp_path / name), mask)
    Image.fromarray(np.array([[[1, 2, 3]]], np.uint8)).save(tmp_path / "red.png")
    with pytest.raises(ValueError, match=r"red.png: has colors; a gray image is allowed"):
        read_weights(tmp_path / "red.png")
