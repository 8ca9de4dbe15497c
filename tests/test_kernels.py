"""Each kernel against its NumPy twin, on sizes around its blocks and on any number of threads.

The whole file also runs with NUMBA_BOUNDSCHECK=1 and with NUMBA_DISABLE_JIT=1, see
test_kernel_modes.py.
"""

import naive
import numba
import numpy as np
import pytest
from painting import apply_labels
from steps import to_points, to_steps

from fastkq import kernels
from fastkq.colors.histogram import (
    SPREAD,
    ColorHistogram,
    _count_by_sorting,
    _count_by_table,
    decode_colors,
    encode_colors,
)
from fastkq.colors.pixels import as_rows
from fastkq.engine.cells import ColorCells, pad_centers
from fastkq.engine.dense import DensePoints
from fastkq.engine.seeding import wu_centers
from fastkq.paint.dither import PASSED_ON, Dithering

# Without the compiler, the number of threads only cuts the histogram's slabs.
THREADS = (1, 3) if numba.config.DISABLE_JIT else (1, 2, 3, 4)


@pytest.fixture(params=THREADS)
def n_threads(request):
    before = numba.get_num_threads()
    if request.param > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"Numba was started with {numba.config.NUMBA_NUM_THREADS} threads")
    numba.set_num_threads(request.param)
    yield request.param
    numba.set_num_threads(before)


def clustered_pixels(n_pixels, seed=0, spread=20):
    """Pixels around a few colors, as a photo has them, clipped at black and white."""
    rng = np.random.default_rng(seed)
    middles = rng.integers(0, 256, (7, 3))
    pixels = middles[rng.integers(0, 7, n_pixels)] + rng.normal(0, spread, (n_pixels, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def histogram_of(pixels):
    colors, counts = naive.histogram(pixels)
    codes = np.array([naive.morton_code(color) for color in colors], np.uint32)
    order = np.argsort(codes)
    return ColorHistogram(codes[order], counts[order])


def test_morton_codes_interleave_bits_and_decode_again():
    colors = np.array([[0, 0, 0], [255, 255, 255], [1, 2, 4], [200, 100, 50]], np.uint8)
    codes = encode_colors(colors)
    assert codes.tolist() == [naive.morton_code(color) for color in colors]
    assert decode_colors(codes).tolist() == colors.tolist()
    levels = np.arange(256, dtype=np.uint8)
    for channel in range(3):
        one_channel = np.zeros((256, 3), np.uint8)
        one_channel[:, channel] = levels
        assert np.array_equal(decode_colors(encode_colors(one_channel)), one_channel)


def count_by_table(pixels):
    return _count_by_table([as_rows(pixels)], len(pixels), max_blocks=1)


@pytest.mark.parametrize("n_pixels", [1, 2, 3, 1009])
@pytest.mark.parametrize("count", [_count_by_sorting, count_by_table])
def test_histogram_counts_every_color(count, n_pixels, n_threads):
    pixels = clustered_pixels(n_pixels)
    expected = histogram_of(pixels)
    result = count(pixels)
    assert np.array_equal(result.codes, expected.codes)
    assert np.array_equal(result.counts, expected.counts)


@pytest.mark.parametrize("count", [1, 254, 255, 256, 509, 510, 511, 765, 766, 70_001])
def test_full_counters_carry(count, n_threads):
    """8-bit counters restart at 255; counts around its multiples must come out whole."""
    pixels = np.zeros((count + 5, 3), np.uint8)
    pixels[:count] = 255, 7, 0
    pixels[count:] = 255, 7, 1
    result = count_by_table(pixels)
    assert result.colors.tolist() == [[255, 7, 0], [255, 7, 1]]
    assert result.counts.tolist() == [count, 5]


@pytest.mark.parametrize("n_pixels", [1, 63, 64, 65, 997])
def test_remap_looks_up_every_pixel(n_pixels, n_threads):
    pixels = clustered_pixels(n_pixels, seed=3)
    histogram = histogram_of(pixels)
    labels = np.arange(len(histogram), dtype=np.uint64).astype(np.uint8)
    result = apply_labels(pixels.reshape(1, -1, 3), histogram.codes, labels)
    expected = labels[np.searchsorted(histogram.codes, encode_colors(pixels))]
    assert np.array_equal(result, expected.reshape(1, -1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (255, 1), (256, 2), (257, 3), (1009, 4), (521, 7)])
@pytest.mark.parametrize("n_clusters", [1, 2, 17])
def test_dense_assign_equals_its_twin(dtype, shape, n_clusters, n_threads):
    rng = np.random.default_rng(shape[0])
    points = rng.normal(size=shape).astype(dtype)
    centers = points[rng.integers(0, len(points), n_clusters)]  # repeats: ties
    labels, distances = DensePoints(points, np.ones(len(points))).assign(centers)
    expected = naive.distances(points, centers)
    assert np.array_equal(labels, expected.argmin(axis=1))
    assert np.array_equal(distances, expected.min(axis=1))


def test_dense_sums_equal_their_twin(n_threads):
    rng = np.random.default_rng(1)
    points, weights = rng.normal(size=(4999, 3)), rng.random(4999)
    centers = points[:11].copy()
    sums = DensePoints(points, weights).accumulate(centers)
    expected = naive.accumulate(points, weights, naive.assign(points, centers), 11)
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)


def test_dense_sums_of_integers_are_exact(n_threads):
    points = clustered_pixels(5003).astype(np.float32)
    weights = np.arange(1, 5004, dtype=float)
    centers = points[:13].copy()
    sums = DensePoints(points, weights).accumulate(centers)
    expected = naive.accumulate(points, weights, naive.assign(points, centers), 13)
    assert np.array_equal(sums, expected)


@pytest.mark.parametrize("spread", [0.5, 3, 20, 80])
@pytest.mark.parametrize("n_clusters", [1, 2, 5, 64, 256])
def test_cells_equal_brute_force(spread, n_clusters, n_threads):
    """The filter drops only centers that lose: labels and sums are those of all distances."""
    pixels = clustered_pixels(3001, seed=n_clusters, spread=spread)
    histogram = histogram_of(pixels)
    rng = np.random.default_rng(5)
    centers = pixels[rng.integers(0, len(pixels), n_clusters)].astype(np.float32)
    centers[n_clusters // 2 :] += rng.normal(0, 3, centers[n_clusters // 2 :].shape)
    labels, sums = ColorCells(histogram).assign(centers)
    points = histogram.colors.astype(np.float32)
    expected = naive.assign(points, centers)
    assert np.array_equal(labels, expected)
    assert np.array_equal(sums, naive.accumulate(points, histogram.counts, expected, n_clusters))


@pytest.mark.parametrize("n_clusters", [1, 2, 5, 64, 256])
def test_cells_count_their_comparisons(n_clusters, n_threads):
    """What `bench/work.py` stores: equal to the twin's, and added up over assignments."""
    histogram = histogram_of(clustered_pixels(3001, seed=n_clusters, spread=20))
    points = histogram.colors.astype(np.float32)
    cells = ColorCells(histogram)
    expected = np.zeros(3, int)
    for seed in (1, 2):
        centers = np.random.default_rng(seed).uniform(0, 255, (n_clusters, 3)).astype(np.float32)
        cells.accumulate(centers)
        expected += naive.count_comparisons(histogram.codes, points, centers)
        assert list(cells.work.values()) == expected.tolist()


def test_cells_give_ties_to_the_lowest_index(n_threads):
    """Centers around gray points, at equal distances by symmetry, and each one twice."""
    grid = np.stack(np.meshgrid(*[np.arange(96, 160, 8, np.uint8)] * 3), axis=-1).reshape(-1, 3)
    histogram = histogram_of(grid)
    offsets = np.array([[4, 0, 0], [-4, 0, 0], [0, 4, 0], [0, -4, 0], [0, 0, 4], [0, 0, -4]])
    centers = np.concatenate([offsets + 128, offsets + 128, offsets + 112]).astype(np.float32)
    labels, _ = ColorCells(histogram).assign(centers)
    assert np.array_equal(labels, naive.assign(histogram.colors.astype(np.float32), centers))
    assert not np.isin(labels, np.arange(6, 12)).any()


def test_cells_far_outside_the_cube(n_threads):
    histogram = histogram_of(clustered_pixels(500))
    centers = np.array([[1e4, -1e4, 0], [1e4, -1e4, 1], [-1e4, 1e4, 0]], np.float32)
    labels, _ = ColorCells(histogram).assign(centers)
    assert np.array_equal(labels, naive.assign(histogram.colors.astype(np.float32), centers))


def test_cells_measure_boxes_and_totals(n_threads):
    histogram = histogram_of(clustered_pixels(2000))
    cells = ColorCells(histogram)
    colors = histogram.colors.astype(float)

    def measure(ids, cube):
        inside, counts = colors[ids == cube], histogram.counts[ids == cube]
        totals = [counts.sum(), *counts @ inside, (counts * (inside**2).sum(axis=1)).sum()]
        return totals, [*inside.min(axis=0), *inside.max(axis=0)]

    ids = histogram.codes >> 9
    assert np.array_equal(cells.grid_ids, np.unique(ids))
    for i, cube in enumerate(np.unique(ids)):
        assert cells.grid_totals[i].tolist() == measure(ids, cube)[0]
    ids = histogram.codes >> 12
    assert cells._totals.tolist() == [measure(ids, cube)[0] for cube in np.unique(ids)]
    boxes = []
    for bits in (18, 15, 12):  # roots, parents, cells
        ids = histogram.codes >> bits
        boxes += [measure(ids, cube)[1] for cube in np.unique(ids)]
    assert cells._boxes.tolist() == boxes


@pytest.mark.parametrize("n_centers", [1, 2, 16, 33])
def test_label_cubes_equals_its_twin(n_threads, n_centers):
    rng = np.random.default_rng(n_centers)
    centers = rng.integers(0, 64, (n_centers, 3)).astype(np.float32)
    padded, names = pad_centers(centers)
    # Boxes of side 64, 32 and 16 with the low corner at (0, 0, 0), in Morton order.
    codes = {bits: np.arange(1 << (18 - bits), dtype=np.uint32) << bits for bits in (18, 15, 12)}
    boxes = []
    for bits, own in codes.items():
        low = decode_colors(own).astype(np.float32)
        boxes.append(np.hstack([low, low + np.float32((1 << bits // 3) - 1)]))
    offsets = rng.integers(0, 16, (3, 32)).astype(np.float32)
    table, is_used = np.empty(64 * 32, np.uint8), rng.random(64) < 0.7
    kernels.cubes.label_cubes(
        padded, names, np.uint64(n_centers), 1, np.concatenate(boxes), offsets, is_used, table
    )
    points = boxes[2][:, None, :3] + offsets.T
    points[~is_used] = boxes[2][~is_used][:, None].reshape(-1, 1, 2, 3).mean(axis=2)
    points = points.reshape(-1, 3)
    assert np.array_equal(table, naive.assign(points, centers))


def test_candidates_of_palette_entries_are_those_of_their_twin(n_threads):
    """Of cubes and their parts; with room for fewer, the first of them are listed."""
    rng = np.random.default_rng(4)
    centers = rng.integers(200, 400, (40, 3)).astype(np.float32)
    corners = rng.integers(18, 50, (21, 3)).astype(np.float32) * 8
    lists, lengths = np.empty((21, 64, 5), np.uint8), np.empty((21, 64), np.int64)
    padded, numbers = pad_centers(centers)
    kernels.nearest.list_candidates(
        corners, np.float32(32), padded, numbers, np.uint64(40), lists, lengths
    )
    ends = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    parts = np.stack(np.unravel_index(np.arange(64), (4, 4, 4)), axis=1)
    for cube, corner in enumerate(corners):
        above = naive.filter_candidates(corner + 32 * ends, centers)
        for number, part in enumerate(parts):
            box = (corner + 8 * (part + ends)).astype(np.float32)
            kept = naive.filter_candidates(box, above)
            expected = [int(np.flatnonzero((centers == entry).all(axis=1))[0]) for entry in kept]
            assert lengths[cube, number] == len(expected)
            n_listed = min(5, len(expected))
            assert lists[cube, number, :n_listed].tolist() == expected[:n_listed]
    assert lengths.max() > 5


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 9, 40])
def test_wu_equals_brute_force(n_clusters):
    cells = ColorCells(histogram_of(clustered_pixels(400, seed=2)))
    positions = decode_colors(cells.grid_ids).astype(int)
    result = wu_centers(positions, cells.grid_totals, n_clusters)
    expected = naive.wu_boxes(positions, cells.grid_totals, n_clusters)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_wu_gives_no_more_boxes_than_cells():
    pixels = np.array([[0, 0, 0], [100, 0, 0], [0, 100, 0]], np.uint8)
    cells = ColorCells(histogram_of(pixels))
    result = wu_centers(decode_colors(cells.grid_ids), cells.grid_totals, 8)
    assert sorted(result.tolist()) == sorted(pixels.astype(float).tolist())


def test_seeding_trials_equal_their_twin(n_threads):
    rng = np.random.default_rng(4)
    points = as_rows(rng.normal(size=(6007, 3)).astype(np.float32))
    weights, closest = as_rows(rng.random(6007)), np.full(6007, np.inf)
    kernels.dense.lower_closest(points, points[0].copy(), closest)
    expected = ((points.astype(float) - points[0]) ** 2).sum(axis=1)
    np.testing.assert_allclose(closest, expected, rtol=1e-14)
    trials, partials = points[1:4].copy(), np.empty((2, 3))
    kernels.dense.sum_potentials(points, weights, closest, trials, partials)
    for trial, potential in zip(trials, partials.sum(axis=0), strict=True):
        with_trial = np.minimum(expected, ((points.astype(float) - trial) ** 2).sum(axis=1))
        assert potential == pytest.approx((weights * with_trial).sum(), rel=1e-12)


def test_spread_tables_are_disjoint():
    red, green, blue = SPREAD
    assert red.max() | green.max() | blue.max() == (1 << 24) - 1
    assert red.max() & green.max() == red.max() & blue.max() == green.max() & blue.max() == 0


@pytest.mark.parametrize("n_channels", [3, 4])
@pytest.mark.parametrize("first", range(5))
def test_codes_of_pixels_at_any_address(n_channels, first):
    """Pixels are read as words, of which the last ones may not be whole; none begins at one."""
    pixels = np.random.default_rng(first).integers(0, 256, (5003, n_channels)).astype(np.uint8)
    pixels[::7, -1] = 255
    for n_pixels in [*range(1, 10), 16, 63, 64, 999, 4998]:
        own = as_rows(pixels[first : first + n_pixels])
        codes = np.full(n_pixels + 1, 7, np.uint32)
        n_opaque = kernels.codes.encode_pixels(own, codes)
        expected = encode_colors(own[:, :3])
        assert np.array_equal(codes[:-1], expected)
        assert codes[-1] == 7  # nothing is written beyond the pixels
        if n_channels == 3:
            assert n_opaque == n_pixels
            continue
        is_opaque = own[:, 3] == 255
        assert n_opaque == np.count_nonzero(is_opaque)
        kernels.codes.keep_opaque(own, codes)
        assert np.array_equal(codes[:n_opaque], expected[is_opaque])


@pytest.mark.parametrize("n_colors", [2, 40])
def test_dither_kernels(n_threads, n_colors):
    """Candidates of cells, split cells and further groups; then each method on a small image."""
    palette = np.random.default_rng(0).integers(100, 106, (n_colors, 3)).astype(np.uint8)
    image = np.random.default_rng(1).integers(96, 110, (9, 7, 3)).astype(np.uint8)
    nearest = naive.assign(image.reshape(-1, 3).astype(np.float32), palette).reshape(9, 7)
    diffused = nearest.astype(np.uint8)
    error = Dithering("diffusion").apply(image, palette, diffused)
    assert np.array_equal(diffused, naive.diffuse(to_steps(image), to_steps(palette), PASSED_ON))
    assert error == ((palette[diffused].astype(int) - image) ** 2).sum()
    for method in ("ordered", "adaptive"):
        labels = nearest.astype(np.uint8)
        error = Dithering(method).apply(image, palette, labels)
        assert error == ((palette[labels].astype(int) - image) ** 2).sum()
        assert not np.array_equal(labels, nearest)


@pytest.mark.parametrize("is_coarse", [True, False])
def test_kernels_of_few_colors_and_alpha(n_threads, is_coarse):
    """Each method on a small image with transparent, translucent and opaque pixels."""
    rng = np.random.default_rng(2)
    palette = rng.integers(0, 256, (24, 4)).astype(np.uint8)
    palette[12:, 3] = 255
    if is_coarse:
        palette = np.array([[0] * 4, [0, 0, 0, 255], [255] * 4, [255, 0, 0, 255]], np.uint8)
    image = rng.integers(0, 256, (9, 7, 4)).astype(np.uint8)
    image[:4, :, 3] = 255
    image[5:7, 2:, 3] = 0
    nearest = naive.assign_alpha(image, palette)[0].astype(np.uint8)
    diffused, alphas = nearest.copy(), image[..., 3]
    Dithering("diffusion").apply(image, palette, diffused)
    points = to_points(image, is_coarse=is_coarse)
    entries = to_points(palette[None], is_coarse=is_coarse)[0]
    own = palette[:, 3]
    passed_on = 1.0 if is_coarse else PASSED_ON
    twin = naive.diffuse_any(points, alphas, entries, own, passed_on, is_coarse=is_coarse)
    assert np.array_equal(diffused, twin)
    for method in ("ordered", "adaptive"):
        labels = nearest.copy()
        error = Dithering(method).apply(image, palette, labels)
        squares = naive.alpha_distance(image.reshape(-1, 4), palette[labels].reshape(-1, 4))
        assert error == pytest.approx(squares, rel=1e-12)
        assert not np.array_equal(labels, nearest)
