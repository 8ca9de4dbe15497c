"""Labels by cost: smaller files for errors that are hardly seen."""

import naive
import naive_lossy
import numba
import numpy as np
import pytest
from PIL import Image
from steps import to_points
from test_dither_alpha import PALETTES, random_palette, soft_image

import fastkq
from fastkq import kernels
from fastkq.files.png import encode_indexed_png
from fastkq.paint.cost import PASSED_ON
from fastkq.paint.dither import Dithering
from fastkq.paint.lossy import LossyDitherer

LEVELS = np.arange(256, dtype=np.uint8)


def textured_image(height, width, seed=0):
    """A gradient with noise and a flat part, whose colors differ from pixel to pixel."""
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(height) * 1.5, np.arange(width))[..., None] * [1, 0.8, 0.5]
    noise = rng.normal(0, 12, (height, width, 3))
    noise[:, width // 2 :] = 0
    return np.clip(20 + smooth + noise, 0, 255).astype(np.uint8)


def labels_by_cost(image, palette, **options):
    """The labels of an image, and the error that is told."""
    labels = np.empty(image.shape[:2], np.uint8)
    return labels, LossyDitherer(palette, Dithering(**options)).dither(image, labels)


def size(labels, palette):
    return len(encode_indexed_png(labels, palette))


def with_own_alpha(array):
    if array.shape[-1] == 4:
        return array
    return np.concatenate([array, np.full((*array.shape[:-1], 1), 255, np.uint8)], axis=-1)


def twin(image, palette, lossy, method="none"):
    """The labels of the twin, from the settings of the class."""
    ditherer = LossyDitherer(palette, Dithering(method, lossy=lossy))
    every, entries = with_own_alpha(image), with_own_alpha(palette)
    is_coarse = ditherer._tables.is_coarse
    has_alpha = image.shape[2] == 4
    map_contrasts = naive.map_alpha_strengths if has_alpha else naive.map_strengths
    contrasts = map_contrasts(image, LEVELS)
    alphas = every[..., 3]
    exact = naive_lossy.exact_entries(every, entries)
    strengths = np.full(alphas.shape, np.float32(PASSED_ON))
    if method == "adaptive":
        strengths = np.float32(1 / 255) * map_contrasts(image, ditherer._strengths)
    return naive_lossy.choose(
        to_points(every, is_coarse=is_coarse),
        alphas,
        exact,
        naive_lossy.worths(contrasts, alphas, exact, ditherer._worth),
        to_points(entries[None], is_coarse=is_coarse)[0],
        entries,
        strengths,
        ditherer._begins(image.shape[1]),
        is_coarse=is_coarse,
    )


@pytest.mark.parametrize("lossy", [5, 40, 100])
@pytest.mark.parametrize("n_colors", [2, 13, 100])
def test_labels_are_those_of_the_twin(n_colors, lossy):
    image = textured_image(23, 67)
    palette = fastkq.quantize(image, n_colors).palette
    labels, error = labels_by_cost(image, palette, lossy=lossy)
    assert np.array_equal(labels, twin(image, palette, lossy))
    assert error == ((palette[labels].astype(np.int64) - image) ** 2).sum()


@pytest.mark.parametrize("name", PALETTES)
def test_labels_with_alpha_are_those_of_the_twin(name):
    image, palette = soft_image(31, 27), PALETTES[name]
    labels, error = labels_by_cost(image, palette, lossy=40)
    assert np.array_equal(labels, twin(image, palette, 40))
    assert error == pytest.approx(naive.alpha_distance(image, palette[labels]).sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("image", "n_colors", "lossy"),
    [(textured_image(23, 67), 60, 40), (soft_image(31, 27), 40, 10)],
    ids=["opaque", "alpha"],
)
def test_adaptive_labels_are_those_of_the_twin(image, n_colors, lossy):
    palette = fastkq.quantize(image, n_colors).palette
    labels, _ = labels_by_cost(image, palette, method="adaptive", lossy=lossy)
    assert np.array_equal(labels, twin(image, palette, lossy, "adaptive"))
    assert not np.array_equal(labels, twin(image, palette, lossy))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (300, 33)])
def test_labels_are_the_same_on_any_number_of_threads(shape):
    image = textured_image(*shape)
    palette = random_palette(50, n_opaque=50)[1:, :3].copy()
    before = numba.get_num_threads()
    results = []
    for n_threads in range(1, 5):
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
        results.append(labels_by_cost(image, palette, lossy=40))
    numba.set_num_threads(before)
    for labels, error in results[1:]:
        assert np.array_equal(labels, results[0][0])
        assert error == results[0][1]


@pytest.mark.parametrize("block_rows", [1, 100, 128, 300])
def test_labels_by_blocks_are_those_of_the_whole(block_rows):
    image = textured_image(400, 21)
    palette = fastkq.quantize(image, 40).palette
    whole, _ = labels_by_cost(image, palette, lossy=40)
    ditherer = LossyDitherer(palette, Dithering(lossy=40))
    blocks = (image[i : i + block_rows] for i in range(0, len(image), block_rows))
    parts = ditherer.dither_blocks(blocks, lambda rows: np.empty(rows.shape[:2], np.uint8))
    assert np.array_equal(np.concatenate([labels for labels, _ in parts]), whole)


def test_more_is_smaller(images):
    image = np.asarray(Image.open(images / "photo-sunset.png").convert("RGB"))
    result = fastkq.quantize(image, color_space="oklab")
    sizes = []
    for lossy in range(10, 101, 10):
        labels, _ = labels_by_cost(image, result.palette, lossy=lossy)
        sizes.append(size(labels, result.palette))
    for smaller, larger in zip(sizes[1:], sizes, strict=False):
        assert smaller <= 1.01 * larger
    assert sizes[-1] < 0.6 * sizes[0]


def test_none_is_nothing(images):
    path = images / "photo-sunset.png"
    for dither in ("none", "diffusion", "ordered"):
        assert fastkq.compress(path, dither=dither, lossy=0) == fastkq.compress(path, dither=dither)


def test_drawings_stay_exact():
    drawing = np.full((60, 90, 3), 250, np.uint8)
    drawing[20:40, 10:70] = [20, 40, 200]
    drawing[30, 12:60:5] = [21, 40, 200]  # hardly another color, and yet
    result = fastkq.quantize(drawing, lossy=100)
    assert np.array_equal(result.to_array(), drawing)


def test_exact_parts_of_an_image_stay_exact():
    """A picture on a page: the page and its text are in the palette, the picture is not."""
    rng = np.random.default_rng(0)
    page = np.full((64, 256, 3), 255, np.uint8)
    page[rng.random((64, 256)) < 0.1] = 0
    page[:, 128:] = textured_image(64, 128)
    result = fastkq.quantize(page, 64, locked=[[0, 0, 0], [255, 255, 255]], lossy=60)
    assert np.array_equal(result.to_array()[:, :128], page[:, :128])
    assert not np.array_equal(result.to_array()[:, 128:], page[:, 128:])


def test_means_stay():
    """What copies are wrong by is passed on: no part of a picture becomes lighter or darker."""
    image = textured_image(120, 160)
    result = fastkq.quantize(image, 32, lossy=50)
    shape = (6, 20, 8, 20, 3)
    means = [a.astype(float).reshape(shape).mean(axis=(1, 3)) for a in (image, result.to_array())]
    assert np.abs(means[0] - means[1]).mean() < 2.5


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_other_formats_become_smaller(images, format):
    plain, lossy = (
        fastkq.compress(images / "photo-sunset.png", dither="diffusion", format=format, lossy=value)
        for value in (0, 50)
    )
    assert len(lossy) < 0.8 * len(plain)


def test_what_is_not_allowed_is_told():
    image = textured_image(4, 4)
    with pytest.raises(ValueError, match="'ordered' and lossy is 10"):
        fastkq.quantize(image, dither="ordered", lossy=10)
    with pytest.raises(ValueError, match="lossy"):
        fastkq.quantize(image, lossy=201)
    with pytest.raises(TypeError, match="lossy"):
        fastkq.quantize(image, lossy="much")


def test_the_first_of_equal_colors_is_found():
    colors = np.array([[1, 2, 3, 255], [9, 9, 9, 255], [1, 2, 3, 255]], np.uint8)
    n_slots = int(kernels.lossy_weights.N_SLOTS)
    keys, entries = np.empty(n_slots, np.int64), np.empty(n_slots, np.uint8)
    kernels.lossy_weights.fill_slots(colors, keys, entries)
    assert sorted(entries[keys >= 0].tolist()) == [0, 1]
