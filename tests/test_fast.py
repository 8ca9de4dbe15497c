"""`effort="fast"`: a sample, a table of cubes, an estimate."""

import naive
import numpy as np
import pytest
from painting import apply_labels
from PIL import Image

import fastkq
from fastkq.colors.histogram import decode_colors
from fastkq.colors.sampling import MAX_STEP, MIN_PIXELS, RUN, sample_pixels, sample_step
from fastkq.engine.sample import label_cubes


@pytest.fixture(scope="module")
def large_photo(request):
    """kodim03 enlarged to 6.3 MP, with grain, since enlarging leaves few colors."""
    path = request.path.parent / "images" / "kodim03.png"
    with Image.open(path) as image:
        enlarged = np.asarray(image.resize((3072, 2048), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(0).normal(0, 2, enlarged.shape)
    return np.clip(np.rint(enlarged + grain), 0, 255).astype(np.uint8)


def measured_mse(image, result):
    error = image.astype(np.int32) - result.to_array()
    return (error**2).sum() / result.labels.size


@pytest.mark.parametrize(
    ("n_pixels", "step"),
    [(1, 1), (2 * MIN_PIXELS - 1, 1), (2 * MIN_PIXELS, 2), (10**9, MAX_STEP)],
)
def test_how_many_pixels_are_sampled(n_pixels, step):
    assert sample_step(n_pixels) == step


def test_every_stretch_gives_one_of_its_runs():
    n_runs = 2 * MIN_PIXELS // (2 * RUN)
    numbers = np.arange(2 * MIN_PIXELS + 100, dtype=np.uint32)
    image = numbers.view(np.uint8).reshape(-1, 4)[None, :, :3]
    sample = sample_pixels(image)
    assert sample.shape == (1, n_runs * RUN, 3)
    places = sample.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    runs = places.reshape(n_runs, RUN)
    assert (np.diff(runs, axis=1) == 1).all()
    assert np.array_equal(runs[:, 0] // (2 * RUN), np.arange(n_runs))
    assert set((runs[:, 0] // RUN % 2).tolist()) == {0, 1}


@pytest.mark.parametrize("n_colors", [1, 2, 17, 256])
def test_cubes_have_the_entry_nearest_to_their_middle(n_colors):
    rng = np.random.default_rng(n_colors)
    palette = rng.integers(0, 256, (n_colors, 3)).astype(np.uint8)
    table = label_cubes(palette)
    colors = rng.integers(0, 256, (20_000, 3)).astype(np.uint8)
    middles = (colors & 0xFE) + np.float32(0.5)
    expected = naive.assign(middles, palette.astype(np.float32))
    assert np.array_equal(apply_labels(colors[None], None, table)[0], expected)


def test_cells_without_colors_have_the_entry_nearest_to_their_middle():
    rng = np.random.default_rng(3)
    palette = rng.integers(0, 256, (40, 3)).astype(np.uint8)
    is_used = rng.random(4096) < 0.5
    table, all_used = label_cubes(palette, is_used), label_cubes(palette)
    per_cell = table.reshape(4096, 512)
    assert np.array_equal(per_cell[is_used], all_used.reshape(4096, 512)[is_used])
    cells = np.flatnonzero(~is_used).astype(np.uint32)
    middles = decode_colors(cells << np.uint32(12)) + np.float32(7.5)
    expected = naive.assign(middles, palette.astype(np.float32))
    assert np.array_equal(per_cell[~is_used], np.repeat(expected[:, None], 512, axis=1))


def test_large_photos_lose_little(large_photo):
    fast = fastkq.quantize(large_photo, 64, effort="fast")
    exact = fastkq.quantize(large_photo, 64)
    error = measured_mse(large_photo, fast)
    assert error < 1.05 * exact.mse
    assert fast.mse == pytest.approx(error, rel=0.03)
    assert np.array_equal(fast.palette, fastkq.fit_palette(large_photo, 64, effort="fast"))
    by_cube = apply_labels(large_photo, None, label_cubes(fast.palette))
    assert (fast.labels != by_cube).mean() < 1e-4  # of cells that the sample has no color of


def test_drawings_are_exact():
    flag = np.zeros((1500, 1500, 3), np.uint8)
    flag[::3] = [10, 20, 30]
    flag[700, 700] = [255, 0, 0]  # a sample would miss it
    result = fastkq.quantize(flag, effort="fast")
    assert np.array_equal(result.to_array(), flag)
    assert result.inertia == 0


def test_small_images_are_exact(images):
    name = "photo-sunset.png"
    fast, exact = (fastkq.quantize(images / name, 32, effort=e) for e in ("fast", "balanced"))
    assert np.array_equal(fast.labels, exact.labels)
    assert np.array_equal(fast.palette, exact.palette)
    assert fast.inertia == exact.inertia


def test_gray_images_are_exact():
    gray = np.random.default_rng(1).integers(0, 256, (1600, 1600)).astype(np.uint8)
    fast = fastkq.quantize(gray, 8, effort="fast")
    assert measured_mse(gray, fast) * 3 == pytest.approx(fast.mse)
