"""The pipeline: the dense engine as oracle, counts of colors, gray, saving, metamorphic laws."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from painting import PLAIN
from PIL import Image

import fastkq
from fastkq.engine.dense import DensePoints
from fastkq.engine.model import TOL_PER_COLOR
from fastkq.engine.opaque import RELAXATION

INITS = ("wu", "k-means++", "random")
PICTURES = ("kodim03.png", "photo-sunset.png", "windows95.png")

small_images = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda shape: (*shape, 3)),
    elements=st.integers(0, 255),
)


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def distinct_colors(image):
    return len(np.unique(image.astype(int) @ (1, 256, 256**2)))


def squared_error(image, result):
    return int(((image.astype(int) - result.to_array()) ** 2).sum())


def assert_equals_dense(image, n_colors, max_iter, tol):
    """From the same random pixels, both engines must end at the same palette, labels, inertia and
    number of iterations: exactly, since the sums are of integers.
    """
    pixels = image.reshape(-1, 3).astype(np.float32)
    start = pixels[np.random.default_rng(n_colors).integers(0, len(pixels), n_colors)]
    result = fastkq.quantize(image, n_colors, init=start, max_iter=max_iter, tol=tol)
    dense = fastkq.kmeans(
        pixels, n_colors, init=start, max_iter=max_iter, tol=tol, relaxation=RELAXATION
    )
    palette = np.rint(dense.centers)
    labels, distances = DensePoints(pixels, np.ones(len(pixels))).assign(palette)
    assert np.array_equal(result.palette, palette)
    assert np.array_equal(result.labels.ravel(), labels)
    assert result.inertia == distances.sum(dtype=float)
    assert result.n_iter == dense.n_iter


@pytest.mark.parametrize("n_colors", [2, 16, 64, 256])
@pytest.mark.parametrize("name", ["kodim03.png", "photo-sunset.png"])
def test_it_equals_dense_kmeans_over_all_pixels(images, name, n_colors):
    assert_equals_dense(read(images / name), n_colors, max_iter=8, tol=0)


def test_it_equals_dense_kmeans_up_to_the_default_stop(images):
    tol = 16 * TOL_PER_COLOR
    assert_equals_dense(read(images / "kodim03.png")[::3, ::3], 16, max_iter=300, tol=tol)


@pytest.mark.parametrize("name", ["graphics/terminal.png", "photo2mp/futuristic.jpg"])
def test_it_equals_dense_kmeans_on_other_pictures(shared_photos, name):
    assert_equals_dense(read(shared_photos / name)[::2, ::2], 64, max_iter=5, tol=0)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("n_colors", [1, 2, 16, 255, 256])
@pytest.mark.parametrize("name", PICTURES)
def test_the_palette_is_full_and_used(images, name, n_colors, init):
    image = read(images / name)
    result = fastkq.quantize(image, n_colors, init=init, max_iter=4)
    expected = min(n_colors, distinct_colors(image))
    assert result.palette.shape == (expected, 3)
    assert len(np.unique(result.palette, axis=0)) == expected
    assert len(np.unique(result.labels)) == expected
    assert result.labels.shape == image.shape[:2]
    assert result.inertia == squared_error(image, result)


@given(small_images, st.integers(1, 256), st.sampled_from(INITS))
def test_any_small_image(image, n_colors, init):
    result = fastkq.quantize(image, n_colors, init=init, max_iter=3)
    expected = min(n_colors, distinct_colors(image))
    assert len(np.unique(result.palette, axis=0)) == len(result.palette) == expected
    assert result.inertia == squared_error(image, result)
    assert result.mse == result.inertia / (image.shape[0] * image.shape[1])
    if expected < n_colors:
        assert np.array_equal(result.to_array(), image)
        assert result.n_iter == 0
        assert result.psnr == float("inf")


@given(small_images, st.integers(1, 20))
def test_quantizing_again_changes_nothing(image, n_colors):
    once = fastkq.quantize(image, n_colors)
    twice = fastkq.quantize(once.to_array(), n_colors)
    assert np.array_equal(once.to_array(), twice.to_array())
    assert twice.inertia == 0


@given(small_images, st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_order_of_pixels_does_not_matter(image, n_colors, random):
    pixels = image.reshape(-1, 3)
    order = list(range(len(pixels)))
    random.shuffle(order)
    straight = fastkq.quantize(image, n_colors)
    shuffled = fastkq.quantize(pixels[order].reshape(1, -1, 3), n_colors)
    assert np.array_equal(straight.palette, shuffled.palette)
    assert np.array_equal(straight.labels.ravel()[order], shuffled.labels.ravel())


@given(small_images, st.integers(1, 20))
def test_the_image_twice_has_the_same_palette(image, n_colors):
    once = fastkq.quantize(image, n_colors)
    twice = fastkq.quantize(np.concatenate([image, image]), n_colors)
    assert np.array_equal(once.palette, twice.palette)
    assert twice.inertia == 2 * once.inertia


@given(small_images, st.integers(2, 20))
def test_labels_are_the_nearest_entries(image, n_colors):
    result = fastkq.quantize(image, n_colors)
    differences = image[:, :, None, :].astype(int) - result.palette
    assert np.array_equal(result.labels, (differences**2).sum(axis=3).argmin(axis=2))
    assert np.array_equal(result.labels, fastkq.remap(image, result.palette))


def test_two_colors_by_hand():
    """Levels 0, 0, 1 and 9: centers 1/3 and 9, rounded to 0 and 9; error of the 1: 3 channels."""
    image = np.array([[0, 0], [1, 9]], np.uint8)
    result = fastkq.quantize(image, 2)
    assert result.palette.tolist() == [[0, 0, 0], [9, 9, 9]]
    assert result.labels.tolist() == [[0, 0], [0, 1]]
    assert result.inertia == 3.0
    assert result.mse == 0.75
    assert result.psnr == pytest.approx(10 * np.log10(255**2 * 3 / 0.75))
    assert result.to_array().tolist() == [[0, 0], [0, 9]]


def test_centers_that_round_to_one_color_give_way():
    """10.2 and 9.9 round to the same color; the second makes room for the worst-served one."""
    image = np.array([[[0, 0, 0]] * 50 + [[255, 0, 0]] * 50 + [[0, 0, 1]]], np.uint8)
    result = fastkq.quantize(image, 2, init=[[10.2, 0, 0], [9.9, 0, 0]], max_iter=0)
    assert result.palette.tolist() == [[10, 0, 0], [255, 0, 0]]
    assert result.labels.tolist() == [[0] * 50 + [1] * 50 + [0]]
    assert result.inertia == 50 * 10**2 + 10**2 + 1


def test_gray_is_rgb_with_equal_channels(images):
    gray = np.asarray(Image.open(images / "kodim03.png").convert("L"))
    result = fastkq.quantize(gray, 16)
    rgb = fastkq.quantize(np.repeat(gray[..., None], 3, axis=2), 16)
    assert np.array_equal(result.palette, rgb.palette)
    assert np.array_equal(result.labels, rgb.labels)
    assert result.mse == rgb.mse
    assert result.to_array().shape == gray.shape
    assert np.array_equal(result.to_array(), rgb.to_array()[..., 0])


def test_wu_comes_near_converged_kmeans(images):
    """Without an iteration, Wu's seeds are within 20 % of K-means, random pixels are not."""
    image = read(images / "kodim03.png")
    converged = fastkq.quantize(image, 64).mse
    assert fastkq.quantize(image, 64, init="wu", max_iter=0).mse < 1.2 * converged
    assert fastkq.quantize(image, 64, init="random", max_iter=0).mse > 1.2 * converged


# kodim03: error of IBKM (Abernathy and Celebi 2022), summed over channels, float centers.
# uint8 palettes add up to 0.25.
@pytest.mark.parametrize(("n_colors", "published"), [(16, 338.20), (64, 78.80), (256, 20.63)])
def test_the_default_is_as_good_as_the_published_quantizer(images, n_colors, published):
    assert fastkq.quantize(read(images / "kodim03.png"), n_colors).mse < published + 0.25


def test_random_state_changes_random_seeds_only(images):
    image = read(images / "photo-sunset.png")
    palettes = {
        (init, state): fastkq.quantize(image, 8, init=init, random_state=state, max_iter=1).palette
        for init in INITS
        for state in (0, 1)
    }
    for init in INITS:
        same = np.array_equal(palettes[init, 0], palettes[init, 1])
        assert same == (init == "wu")


def test_fit_palette_of_an_image_or_its_histogram(images):
    image = read(images / "photo-sunset.png")
    palette = fastkq.fit_palette(image, 32)
    assert np.array_equal(palette, fastkq.quantize(image, 32).palette)
    assert np.array_equal(palette, fastkq.fit_palette(fastkq.color_histogram(image), 32))


def test_a_shared_palette_serves_both_images(images):
    first, second = read(images / "photo-sunset.png"), read(images / "kodim03.png")
    histogram = fastkq.color_histogram(first) + fastkq.color_histogram(second)
    palette = fastkq.fit_palette(histogram, 64)
    both = np.concatenate([first.reshape(1, -1, 3), second.reshape(1, -1, 3)], axis=1)
    assert np.array_equal(palette, fastkq.fit_palette(both, 64))


def test_remap_keeps_the_order_of_a_palette():
    image = np.array([[[0, 0, 0], [255, 255, 255], [128, 0, 0]]], np.uint8)
    palette = [[255, 255, 255], [130, 0, 0], [1, 1, 1]]
    assert fastkq.remap(image, palette).tolist() == [[2, 0, 1]]
    assert fastkq.remap(image[..., 0], palette).tolist() == [[2, 0, 1]]


def test_save_and_compress_write_the_same_file(images, tmp_path):
    result = fastkq.quantize(images / "kodim03.png", 16)
    n_bytes = result.save(tmp_path / "saved.png")
    buffer = io.BytesIO()
    result.save(buffer)
    report = fastkq.compress(images / "kodim03.png", tmp_path / "compressed.png", 16, **PLAIN)
    saved = (tmp_path / "saved.png").read_bytes()
    assert saved == (tmp_path / "compressed.png").read_bytes() == buffer.getvalue()
    assert n_bytes == len(saved) == report.target_bytes
    assert report.source_bytes == (images / "kodim03.png").stat().st_size
    assert report.saving == 1 - report.target_bytes / report.source_bytes
    assert (report.width, report.height, report.n_colors) == (768, 512, 16)
    assert (report.mse, report.psnr, report.n_iter) == (result.mse, result.psnr, result.n_iter)
    assert report.seconds > 0
    with Image.open(tmp_path / "saved.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image.convert("RGB")), result.to_array())


def test_a_damaged_color_profile_does_not_stop_it():
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    image.info["icc_profile"] = b"short"
    assert fastkq.quantize(image).icc_profile is None
