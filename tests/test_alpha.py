"""Images with transparency: the metric, what is kept exactly, and the files."""

import io
import itertools

import naive
import numba
import numpy as np
import pytest
from painting import PLAIN
from PIL import Image, ImageDraw, ImageFilter

import fastkq
from fastkq.colors.histogram import histogram_of_array
from fastkq.colors.pixels import with_alpha
from fastkq.colors.spaces import to_alpha_points
from fastkq.engine import alpha
from fastkq.engine.alpha import TRANSPARENT, AlphaColors, fit_alpha, label_palette, sort_by_alpha
from fastkq.engine.model import FitOptions

BACKGROUNDS = {"black": [0, 0, 0], "white": [255, 255, 255], "red": [255, 0, 0]}


def to_points(colors):
    return to_alpha_points(colors, "srgb")


def random_colors(n, seed=0, low_alpha=0):
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (n, 4), dtype=np.uint8)
    colors[:, 3] = rng.integers(low_alpha, 256, n)
    return colors


def soft_disc(size=61):
    """A shaded disc with a soft edge: opaque inside, transparent (over odd colors) outside."""
    y, x = np.mgrid[:size, :size] - size / 2
    distance = np.hypot(y, x)
    image = np.empty((size, size, 4), np.uint8)
    image[..., 0] = 3 * (y + size / 2)
    image[..., 1] = 2 * (x + size / 2)
    image[..., 2] = 90
    image[..., 3] = np.clip(60 * (size / 3 - distance), 0, 255)
    image[distance > size / 3 + 5, :3] = 77
    return image


# --- the metric


def test_the_distance_of_two_colors_by_hand():
    """Half-transparent white against transparent: over black it shows 128, over white nothing."""
    white, clear, black = [255, 255, 255, 128], [9, 9, 9, 0], [0, 0, 0, 128]
    points = to_points(np.array([white, clear, black], np.uint8)).astype(float)

    def distance(i, j):
        return np.sum((points[i] - points[j]) ** 2)

    assert distance(0, 1) == pytest.approx(3 * (128**2 + 0) / 2, rel=1e-6)
    # Black that covers half: over white it takes 128 away, over black nothing.
    assert distance(2, 1) == pytest.approx(3 * (0 + 128**2) / 2, rel=1e-6)
    # White and black at the same alpha: 128 apart over both.
    assert distance(0, 2) == pytest.approx(3 * 128**2, rel=1e-6)


def test_distances_are_those_over_black_and_over_white():
    colors = random_colors(40)
    points = to_points(colors).astype(float)
    distances = np.sum((points[:, None] - points) ** 2, axis=2)
    for i, j in itertools.combinations(range(len(colors)), 2):
        assert distances[i, j] == pytest.approx(
            naive.alpha_distance(colors[i], colors[j]), rel=1e-4, abs=1e-3
        )


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_every_kind_of_image_with_alpha(n_channels):
    array = np.arange(3 * 5 * n_channels, dtype=np.uint8).reshape(3, 5, n_channels)
    rgba = with_alpha(array[..., 0] if n_channels == 1 else array)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[n_channels]
    expected = Image.fromarray(array[..., 0] if n_channels == 1 else array, mode).convert("RGBA")
    assert np.array_equal(rgba, np.asarray(expected))


# --- quantize


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
def test_an_opaque_image_gives_what_it_gives_without_alpha(effort):
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    rgba = np.dstack([rgb, np.full((40, 50), 255, np.uint8)])
    files = [io.BytesIO(), io.BytesIO()]
    for image, file in zip((rgb, rgba), files, strict=True):
        fastkq.quantize(image, 30, effort=effort).save(file)
    assert files[0].getvalue() == files[1].getvalue()


@pytest.mark.parametrize("n_colors", [2, 3, 16, 100])
def test_palette_labels_and_error(n_colors):
    image = soft_disc()
    result = fastkq.quantize(image, n_colors)
    assert result.palette.shape == (n_colors, 4)
    assert len(np.unique(result.palette, axis=0)) == n_colors
    assert np.array_equal(np.unique(result.labels), np.arange(n_colors)), "every entry is used"
    assert np.all(np.diff(result.palette[:, 3].astype(int)) >= 0), "transparent entries first"
    shown = result.to_array()
    assert shown.shape == image.shape
    is_clear, is_opaque = image[..., 3] == 0, image[..., 3] == 255
    assert result.palette[0].tolist() == [0, 0, 0, 0]
    assert result.palette[1, 3] > 0, "one transparent entry"
    assert not shown[is_clear].any()
    assert np.all(shown[is_opaque, 3] == 255)
    labels, inertia = naive.assign_alpha(image, result.palette)
    assert np.array_equal(result.labels, labels)
    assert result.inertia == pytest.approx(inertia, rel=1e-5)
    over = [naive.composite(picture, color) for picture in (image, shown) for color in (0, 255)]
    squares = [np.sum((over[i] - over[i + 2]) ** 2) for i in range(2)]
    assert result.mse == pytest.approx(np.mean(squares) / result.labels.size, rel=1e-5)


def test_more_colors_leave_less_error_over_every_background():
    image = soft_disc()
    for color in BACKGROUNDS.values():
        errors = [
            np.mean(
                (
                    naive.composite(image, color)
                    - naive.composite(fastkq.quantize(image, n_colors).to_array(), color)
                )
                ** 2
            )
            for n_colors in (4, 16, 64, 256)
        ]
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < errors[0] / 10


def test_few_colors_are_lossless_whatever_is_under_transparent_pixels():
    image = np.array(
        [[[9, 8, 7, 0], [1, 2, 3, 0], [5, 5, 5, 255], [200, 1, 1, 7], [5, 5, 5, 254]]], np.uint8
    )
    for n_colors in (4, 256):
        result = fastkq.quantize(image, n_colors)
        assert result.palette.tolist() == [
            [0, 0, 0, 0],
            [200, 1, 1, 7],
            [5, 5, 5, 254],
            [5, 5, 5, 255],
        ]
        assert result.labels.tolist() == [[0, 0, 3, 1, 2]]
        assert (result.inertia, result.n_iter) == (0, 0)
        assert np.array_equal(fastkq.fit_palette(image, n_colors), result.palette)
    assert len(fastkq.quantize(image, 3).palette) == 3


def test_without_soft_edges_the_opaque_colors_are_those_of_rgb():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (30, 40, 4), dtype=np.uint8)
    image[..., 3] = np.where(image[..., 3] < 90, 0, 255)
    rgb = image[image[..., 3] == 255][None, :, :3]
    for options in ({"tol": 0}, {"tol": 0, "init": "random"}, {"tol": 0, "effort": "best"}):
        alone = fastkq.quantize(rgb, 20, **options)
        result = fastkq.quantize(image, 21, **options)
        assert result.palette[0].tolist() == [0, 0, 0, 0]
        assert np.array_equal(result.palette[1:, :3], alone.palette)
        assert (result.inertia, result.n_iter) == (alone.inertia, alone.n_iter)


def test_what_is_nearly_opaque_does_not_make_opaque_pixels_shine_through():
    """One gray at alpha 250 to 254 and a little of it opaque: their mean would not be opaque."""
    image = np.full((1, 600, 4), 100, np.uint8)
    image[0, :, 3] = np.arange(600) % 5 + 250
    image[0, :20, 3] = 255
    image[0, :, 0] += (np.arange(600) % 7).astype(np.uint8)
    for n_colors in (1, 2, 8):
        shown = fastkq.quantize(image, n_colors).to_array()
        assert np.all(shown[0, :20, 3] == 255)


@pytest.mark.parametrize("alphas", [[0, 1, 255], [0, 255], [1, 254], [0, 128], [7], [128, 255]])
@pytest.mark.parametrize("n_colors", [1, 2, 5])
def test_every_mix_of_alphas_has_as_many_colors_as_asked_for(alphas, n_colors):
    image = random_colors(400, seed=3).reshape(10, 40, 4)
    image[..., 3] = np.resize(alphas, (10, 40))
    result = fastkq.quantize(image, n_colors)
    assert result.palette.shape == (n_colors, 4)
    labels, inertia = naive.assign_alpha(image, result.palette)
    assert np.array_equal(result.labels, labels)
    assert result.inertia == pytest.approx(inertia, rel=1e-5)
    if n_colors > 1 and 0 in alphas:
        assert not result.to_array()[image[..., 3] == 0].any()
    if 255 in alphas:
        assert np.all(result.to_array()[image[..., 3] == 255, 3] == 255)


def test_only_transparent_pixels():
    image = np.full((2, 3, 4), 9, np.uint8)
    image[..., 3] = 0
    result = fastkq.quantize(image, 5)
    assert (result.palette.tolist(), result.labels.tolist()) == ([[0, 0, 0, 0]], [[0] * 3] * 2)


@pytest.mark.parametrize("init", ["wu", "k-means++", "random"])
def test_seeds_and_efforts(init):
    image = soft_disc()
    results = [fastkq.quantize(image, 24, init=init, effort=e) for e in ("fast", "balanced")]
    assert np.array_equal(results[0].palette, results[1].palette)
    assert results[0].psnr > 30
    assert fastkq.quantize(image, 24, init=init, max_iter=0).n_iter == 0


def test_lloyd_never_increases_the_error():
    image = soft_disc()
    errors = [fastkq.quantize(image, 12, max_iter=n, tol=0).inertia for n in (1, 3, 9, 100)]
    assert errors[0] > errors[-1]
    assert errors == sorted(errors, reverse=True)


def test_gray_with_alpha_stays_gray():
    image = np.ascontiguousarray(soft_disc()[..., [0, 3]])
    result = fastkq.quantize(image, 20)
    assert result.palette.shape == (20, 4)
    assert np.array_equal(result.palette[:, 0], result.palette[:, 1])
    assert np.array_equal(result.palette[:, 0], result.palette[:, 2])
    assert result.to_array().shape == image.shape
    rgba = fastkq.quantize(with_alpha(image), 20)
    assert np.array_equal(rgba.palette, result.palette)
    assert np.array_equal(rgba.labels, result.labels)
    image[..., 1] = 255
    assert np.array_equal(
        fastkq.quantize(image, 9).to_array(), fastkq.quantize(image[..., 0], 9).to_array()
    )


def test_any_number_of_threads():
    image = np.tile(soft_disc(211), (2, 1, 1))
    image[..., 2] += np.random.default_rng(0).integers(0, 9, image.shape[:2], dtype=np.uint8)
    before = numba.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2, 3):
            numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
            result = fastkq.quantize(image, 40)
            results.append((result.palette.tobytes(), result.labels.tobytes(), result.inertia))
    finally:
        numba.set_num_threads(before)
    assert len(set(results)) == 1


# --- palettes


def test_remap_takes_a_palette_with_alpha():
    image = soft_disc()
    result = fastkq.quantize(image, 32)
    assert np.array_equal(fastkq.remap(image, result.palette), result.labels)
    own = np.random.default_rng(0).permutation(result.palette)
    labels = fastkq.remap(image, own)
    assert np.array_equal(labels, naive.assign_alpha(image, own)[0])
    applied = label_palette(histogram_of_array(image), own)
    assert np.array_equal(applied.palette, own)
    assert applied.inertia == pytest.approx(result.inertia, rel=1e-6)


@pytest.mark.parametrize(
    "palette", [[[9, 9, 9, 255], [200, 200, 200, 0], [60, 0, 0, 100]], [[1, 2, 3, 4]]]
)
def test_remap_of_opaque_and_gray_images_by_a_palette_with_alpha(palette):
    palette = np.array(palette, np.uint8)
    rgb = np.random.default_rng(5).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    for image in (rgb, rgb[..., 0], np.ascontiguousarray(rgb[..., :2])):
        expected, _ = naive.assign_alpha(with_alpha(image), palette)
        assert np.array_equal(fastkq.remap(image, palette), expected)


def test_a_palette_without_alpha_is_for_opaque_images():
    with pytest.raises(ValueError, match=r"has transparent pixels, .* one with alpha, \(K, 4\)"):
        fastkq.remap(soft_disc(), np.zeros((2, 3), np.uint8))


def test_opaque_pixels_take_the_nearest_where_no_entry_is_opaque():
    image = np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], np.uint8)
    palette = np.array([[255, 255, 255, 250], [0, 0, 0, 250]], np.uint8)
    assert fastkq.remap(image, palette).tolist() == [[1, 0]]


def test_sorting_by_alpha_keeps_the_order_of_equals():
    palette = np.array([[1, 0, 0, 255], [2, 0, 0, 3], [3, 0, 0, 255], [4, 0, 0, 0]], np.uint8)
    assert sort_by_alpha(palette)[:, 0].tolist() == [4, 2, 1, 3]


# --- files


@pytest.mark.parametrize("n_colors", [2, 4, 16, 40])
def test_pillow_reads_the_same_pixels(n_colors):
    result = fastkq.quantize(soft_disc(), n_colors)
    buffer = io.BytesIO()
    result.save(buffer)
    with Image.open(buffer) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), result.labels)
        assert np.array_equal(np.asarray(image.convert("RGBA")), result.to_array())
    data = buffer.getvalue()
    alphas = bytes(result.palette[result.palette[:, 3] < 255, 3])
    assert len(alphas).to_bytes(4, "big") + b"tRNS" + alphas in data
    assert data.index(b"PLTE") < data.index(b"tRNS") < data.index(b"IDAT")


def test_files_and_arrays_give_the_same(tmp_path):
    image = soft_disc()
    source, target = tmp_path / "disc.png", tmp_path / "small.png"
    Image.fromarray(image).save(source)
    report = fastkq.compress(source, target, 16, **PLAIN)
    result = fastkq.quantize(image, 16)
    with Image.open(target) as opened:
        assert np.array_equal(np.asarray(opened.convert("RGBA")), result.to_array())
    assert (report.n_colors, report.mse) == (16, result.mse)
    written = target.read_bytes()
    fastkq.compress(image, target, 16, **PLAIN)
    assert target.read_bytes() == written
    (one,) = fastkq.compress_many(source, tmp_path / "out", 16, jobs=1, **PLAIN)
    assert (one.status, one.error) == ("done", None)
    assert (tmp_path / "out" / "disc.png").read_bytes() == written
    (one,) = fastkq.compress_many(
        source, tmp_path / "alpha", palette=result.palette, jobs=1, overwrite=True
    )
    assert (tmp_path / "alpha" / "disc.png").read_bytes() == written
    (one,) = fastkq.compress_many(source, tmp_path / "rgb", palette=[[0, 0, 0]], jobs=1)
    assert one.status == "failed"
    assert "has transparent pixels" in one.error


@pytest.mark.parametrize(
    "name", ["emoji_u1f360", "emoji_u1f645", "blackbug", "alpha-premultiply-1024x768-paper"]
)
def test_real_cut_outs(shared_photos, name):
    """Each looks like its original over any background."""
    with Image.open(shared_photos / "alpha" / f"{name}.png") as opened:
        image = np.asarray(opened.convert("RGBA"))
    result = fastkq.quantize(image)
    shown = result.to_array()
    assert np.all(shown[image[..., 3] == 255, 3] == 255)
    assert not shown[image[..., 3] == 0].any()
    for color in BACKGROUNDS.values():
        difference = naive.composite(image, color) - naive.composite(shown, color)
        assert np.mean(difference**2) < 1


def mixed_image(seed=0):
    """Opaque, translucent and transparent pixels, of more colors than the palettes here have."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (40, 40, 4)).astype(np.uint8)
    image[:15, :, 3] = 255
    image[15:20, :, 3] = 0
    image[:15, :, :3] //= 8
    return image


@pytest.mark.parametrize("n_colors", [2, 3, 16, 100])
def test_best_is_better(n_colors):
    image = mixed_image()
    best = fastkq.quantize(image, n_colors, effort="best")
    balanced = fastkq.quantize(image, n_colors)
    assert len(best.palette) == len(balanced.palette)
    assert best.inertia <= balanced.inertia * (1 + 1e-3)  # of rounding to a palette
    shown = best.to_array()
    assert np.all(shown[image[..., 3] == 255, 3] == 255)
    assert np.all(shown[image[..., 3] == 0] == 0)
    if n_colors >= 100:  # of fewer, both find the same
        assert best.inertia < 0.999 * balanced.inertia


def histogram_parts(seed=0):
    image = mixed_image(seed)
    return histogram_of_array(image), image.reshape(-1, 4)


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_clusters_are_those_of_a_twin(space):
    """Opaque colors go to opaque centers, others to any; the first three stay where they are."""
    histogram, pixels = histogram_parts()
    pixels = pixels[pixels[:, 3] > 0]
    colors = AlphaColors(histogram, space, 3)
    fixed = np.array([[0, 0, 0, 0], [9, 9, 9, 255], [200, 0, 0, 100]], np.uint8)
    centers = np.concatenate(
        [to_alpha_points(fixed, space), colors.seed(12, "wu", 1, needs_opaque=False)]
    )
    points = to_alpha_points(pixels, space)
    distances = naive.distances(points, centers)
    distances[np.ix_(pixels[:, 3] == 255, centers[:, 3] > 0)] = np.inf
    labels = distances.argmin(axis=1)
    clusters = colors.measure(centers)
    sums = colors.accumulate(centers)
    assert clusters.n_locked == 3
    for cluster, center in enumerate(centers.astype(float)):
        own = points[labels == cluster].astype(float)
        flat = [1, 1, 1, center[3] > 0]
        assert clusters.weights[cluster] == len(own) == sums[cluster, 0]
        assert clusters.is_flat[cluster] == (center[3] == 0)
        assert np.allclose(sums[cluster, 1:], own.sum(axis=0) * flat, rtol=1e-6)
        if len(own):
            mean = center if cluster < 3 else own.mean(axis=0) * flat
            assert np.allclose(clusters.means[cluster], mean, rtol=1e-6, atol=1e-4)
            error = np.sum((own - mean) ** 2)
            assert np.isclose(clusters.errors[cluster], error, rtol=1e-5, atol=1e-3)


def test_an_unused_entry_gives_way_to_what_is_served_worst():
    image = np.array([[[0, 0, 0, 0], [9, 9, 9, 99], [200, 0, 0, 255]]], np.uint8)
    colors = AlphaColors(histogram_of_array(image), "srgb", 1)
    blue = [0, 0, 250, 255]
    used = np.array([[8, 9, 9, 99], blue], np.uint8)
    again = alpha._use_all_entries(colors, TRANSPARENT, used, "srgb")
    assert again.tolist() == used.tolist(), "all used, if badly"
    unused = np.array([blue, blue], np.uint8)
    # Red first, which makes blue useless; then the translucent one.
    again = alpha._use_all_entries(colors, TRANSPARENT, unused, "srgb")
    assert again.tolist() == [[9, 9, 9, 99], [200, 0, 0, 255]]


@pytest.mark.parametrize("space", ["srgb", "oklab"])
@pytest.mark.parametrize("n_colors", [1, 2, 7, 40])
def test_the_error_and_labels_of_a_fit_are_those_of_a_twin(space, n_colors):
    histogram, pixels = histogram_parts(3)
    fit = fit_alpha(histogram, FitOptions(n_colors=n_colors, color_space=space))
    assert len(np.unique(fit.palette, axis=0)) == n_colors
    entries = to_alpha_points(fit.palette, space)
    points = to_alpha_points(pixels, space)
    distances = naive.distances(points, entries)
    distances[np.ix_(pixels[:, 3] == 255, fit.palette[:, 3] < 255)] = np.inf
    nearest = fit.palette[distances.argmin(axis=1)]
    errors = np.mean(
        [
            np.sum((naive.composite(pixels, b) - naive.composite(nearest, b)) ** 2, axis=1)
            for b in (0, 255)
        ],
        axis=0,
    )
    assert fit.inertia == pytest.approx(errors.sum(), rel=1e-4)
    assert fit.opaque_inertia == pytest.approx(errors[pixels[:, 3] == 255].sum(), rel=1e-4)
    opaque = np.pad(histogram.colors, ((0, 0), (0, 1)), constant_values=255)
    distances = naive.distances(to_alpha_points(opaque, space), entries)
    distances[:, fit.palette[:, 3] < 255] = np.inf
    assert np.array_equal(fit.labels, distances.argmin(axis=1))


def test_oklab_serves_what_the_eye_sees():
    """Each space gives the smaller error in itself."""
    histogram, pixels = histogram_parts(4)
    errors = {}
    for space in ("srgb", "oklab"):
        fit = fit_alpha(histogram, FitOptions(n_colors=24, color_space=space))
        for measured in ("srgb", "oklab"):
            points = to_alpha_points(pixels, measured).astype(float)
            entries = to_alpha_points(fit.palette, measured).astype(float)
            distances = np.sum((points[:, None] - entries) ** 2, axis=2)
            distances[np.ix_(pixels[:, 3] == 255, fit.palette[:, 3] < 255)] = np.inf
            errors[space, measured] = distances.min(axis=1).sum()
    assert errors["srgb", "srgb"] < 0.98 * errors["oklab", "srgb"]
    assert errors["oklab", "oklab"] < 0.98 * errors["srgb", "oklab"]


LOCKED = {
    "opaque": [[1, 2, 3, 255], [250, 0, 0, 255]],
    "all kinds": [[1, 2, 3, 255], [0, 9, 0, 70], [5, 5, 5, 0]],
    "translucent": [[0, 9, 0, 70]],
    "transparent": [[77, 0, 0, 0]],
}


@pytest.mark.parametrize("effort", ["balanced", "best"])
@pytest.mark.parametrize("name", LOCKED)
@pytest.mark.parametrize("n_colors", [3, 20])
def test_locked_entries_come_first_and_the_rest_by_alpha(name, n_colors, effort):
    locked = np.array(LOCKED[name], np.uint8)
    histogram, pixels = histogram_parts(5)
    options = FitOptions(n_colors=n_colors, locked=locked, effort=effort)
    palette = fit_alpha(histogram, options).palette
    assert len(palette) == n_colors
    assert np.array_equal(palette[: len(locked)], locked)
    others = palette[len(locked) :]
    assert np.all(np.diff(others[:, 3].astype(int)) >= 0)
    assert np.any(palette[:, 3] == 255) or n_colors == len(locked)
    if "transparent" not in name and n_colors > 3:
        assert np.any(palette[:, 3] == 0)
    labels, _ = naive.assign_alpha(pixels[None], palette)
    used = np.unique(labels)
    assert np.isin(np.arange(len(locked), n_colors), used).all(), "the others are used"


def test_locked_entries_beside_few_colors_are_lossless():
    image = np.array([[[9, 9, 9, 0], [5, 5, 5, 255], [200, 1, 1, 7]]], np.uint8)
    locked = np.array([[200, 1, 1, 7], [1, 1, 1, 255]], np.uint8)
    fit = fit_alpha(histogram_of_array(image), FitOptions(n_colors=4, locked=locked))
    assert fit.palette.tolist() == [*locked.tolist(), [0, 0, 0, 0], [5, 5, 5, 255]]
    assert (fit.inertia, fit.n_iter, fit.labels.tolist()) == (0, 0, [3])


def test_one_entry_keeps_the_visible_color():
    image = np.array([[[9, 9, 9, 0]] * 9 + [[50, 60, 70, 255]]], np.uint8)
    assert fastkq.quantize(image, 1).palette.tolist() == [[50, 60, 70, 255]]
    assert fastkq.quantize(image, 2).palette.tolist() == [[0, 0, 0, 0], [50, 60, 70, 255]]
    image[0, -1, 3] = 128
    assert fastkq.quantize(image, 1).palette[0, 3] > 0


@pytest.mark.parametrize("n_channels", [3, 4])
def test_centers_may_be_given(n_channels):
    histogram, _ = histogram_parts(6)
    given = np.array([[0, 0, 0, 255], [20, 20, 20, 255], [99, 0, 0, 128], [0, 0, 0, 30]])
    options = FitOptions(n_colors=4, init=given[:, :n_channels].astype(np.float32), max_iter=0)
    palette = fit_alpha(histogram, options).palette
    if n_channels == 3:
        assert palette[:, 3].tolist() == [0, 255, 255, 255]
    else:
        # The one that is nearest to transparent gives way to it.
        assert palette.tolist() == [[0, 0, 0, 0], *given[[2, 0, 1]].tolist()]


def photo_with_shadow(images):
    """A photo with round corners and a soft drop shadow, 420 x 260."""

    def box(top):
        mask = Image.new("L", (420, 260), 0)
        ImageDraw.Draw(mask).rounded_rectangle([60, top, 360, top + 160], 20, fill=255)
        return mask

    image = np.zeros((260, 420, 4), np.uint8)
    image[..., 3] = np.asarray(box(40).filter(ImageFilter.GaussianBlur(18))) * 0.6
    is_photo = np.asarray(box(34)) > 0
    with Image.open(images / "kodim03.png") as opened:
        photo = np.asarray(opened.convert("RGB").resize((420, 260)))
    image[is_photo, :3] = photo[is_photo]
    image[is_photo, 3] = 255
    return image


def test_a_soft_shadow_beside_a_photo_gets_its_share(images, monkeypatch):
    """Its seeds were starved: it had 10 alpha levels, whatever was asked, and 44 % more error."""
    image = photo_with_shadow(images)
    best = fastkq.quantize(image, effort="best")
    result = fastkq.quantize(image)
    assert result.mse <= 1.05 * best.mse
    assert result.mse < 11.90, "imagequant's"
    assert len(np.unique(result.to_array()[..., 3])) >= 25
    # Of more colors, the seeds alone: rounds would take too long.
    monkeypatch.setattr(alpha, "MAX_ROUND_COLORS", 0)
    result = fastkq.quantize(image)
    assert result.mse <= 1.05 * best.mse
    assert len(np.unique(result.to_array()[..., 3])) >= 25


def test_many_translucent_colors_are_merged_for_kmeans_only(monkeypatch):
    image = random_colors(4000, seed=4).reshape(40, 100, 4)
    exact = fastkq.quantize(image, 50)
    monkeypatch.setattr(alpha, "MAX_DENSE", 1000)
    merged = fastkq.quantize(image, 50)
    assert merged.inertia == pytest.approx(exact.inertia, rel=0.03)
    assert np.array_equal(merged.labels, naive.assign_alpha(image, merged.palette)[0])
    with_all = fastkq.quantize(image, 256)
    assert np.array_equal(np.unique(with_all.labels), np.arange(256))


def test_cutting_by_hand():
    """Two opaque pairs and a translucent one: the first cuts part what is farthest apart."""
    points = np.array([[0, 0, 0, 0], [4, 0, 0, 0], [200, 0, 0, 0], [9, 9, 9, 50], [9, 9, 9, 52]])
    weights = np.array([1.0, 3, 1, 1, 1])
    means = alpha._cut(points.astype(np.float32), weights, 3, 3)
    assert sorted(means.tolist()) == [[3, 0, 0, 0], [9, 9, 9, 51], [200, 0, 0, 0]]
    assert len(alpha._cut(points.astype(np.float32), weights, 3, 9)) == 5, "no more than points"
    one = alpha._cut(points.astype(np.float32), weights, 3, 1)
    assert np.allclose(one, [[(3 * 4 + 200) / 5, 0, 0, 0]]), "opaque, where there is one alone"
