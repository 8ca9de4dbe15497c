"""Dithering: error diffusion, adaptive and ordered, in memory and by blocks."""

import io
import subprocess
import sys
from pathlib import Path

import naive
import naive_ordered
import numba
import numpy as np
import pytest
from PIL import Image
from steps import to_light, to_steps

import fastkq
from fastkq import kernels
from fastkq.batch.job import JobOptions, run_job
from fastkq.batch.plan import Job
from fastkq.colors.pixels import as_rows
from fastkq.colors.spaces import OKLAB_UNITS, to_points
from fastkq.files import rows as blocks
from fastkq.files.read import read_image
from fastkq.options import check_options
from fastkq.paint.dither import PASSED_ON, Ditherer, Dithering
from fastkq.paint.mask import blue_noise_ranks
from fastkq.paint.tables import nearest_table

METHODS = ("diffusion", "ordered", "adaptive")


@pytest.fixture
def photo(images):
    return read_image(images / "kodim03.png").array


def random_image(height, width, seed=0):
    """Smooth, with some noise."""
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(height) / 2, np.arange(width) / 3)[..., None] * [1, 0.7, 0.4]
    return np.clip(smooth + rng.integers(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


def random_palette(n_colors, seed=0):
    """Few colors close to each other: distant ones are mixed in light, see test_few_colors.py."""
    if n_colors <= 16:
        return 90 + random_palette(256, seed)[:n_colors] // 4
    return np.random.default_rng(seed).integers(0, 256, (n_colors, 3)).astype(np.uint8)


def squared_error(image, palette, labels):
    return int(np.sum((palette[labels].astype(int) - image) ** 2))


def test_steps_are_those_of_oklab():
    """A lattice of colors and all grays: within a tenth of a step; and none is out of the box."""
    lattice = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(-1, 3)
    colors = np.concatenate([lattice, np.repeat(np.arange(256)[:, None], 3, axis=1)])
    colors = colors.astype(np.uint8)
    exact = to_points(colors, "oklab") / OKLAB_UNITS * 1020 + [0, 320, 320]
    steps = to_steps(colors)
    assert np.abs(steps - exact).max() < 0.1
    assert np.all(np.floor(steps.min(axis=0)) == [0, 81, 2])
    assert np.all(np.ceil(steps.max(axis=0)) == [1020, 602, 523])


@pytest.mark.parametrize(
    "palette",
    [
        random_palette(1),
        random_palette(2),
        random_palette(256),
        # Crowded: more candidates in a cell, and in its small cells, than a group has lanes.
        100 + random_palette(256, 1) // 25,
        np.stack([np.full(256, 50), np.full(256, 60), np.arange(256)], axis=1).astype(np.uint8),
    ],
    ids=["1", "2", "256", "crowded", "line"],
)
def test_the_nearest_entry_of_any_color(palette):
    """A strength of 0 looks up the colors themselves: a coarse lattice, and a crowded part."""
    lattice = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(2)
    image = np.concatenate([lattice, rng.integers(95, 115, (3000, 3)), palette])
    image = image.astype(np.uint8).reshape(1, -1, 3)
    labels = np.zeros(image.shape[:2], np.uint8)
    error = Ditherer(palette, Dithering("diffusion", 0.0)).dither(image, labels)
    expected = naive.assign(
        np.floor(to_steps(image[0]) + np.float32(0.5)), np.rint(to_steps(palette))
    )
    assert np.array_equal(labels[0], expected)
    assert error == squared_error(image, palette, labels)


def test_crowded_cells_are_split():
    palette = 100 + random_palette(256, 1) // 25
    cells, further, groups = nearest_table(np.ascontiguousarray(to_steps(palette).T))
    assert np.any(cells & 63)
    assert len(further) - 1 < len(groups)  # some small cells have further groups


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (61, 53), (128, 19)])
@pytest.mark.parametrize(("n_colors", "strength"), [(2, 1.0), (16, 0.6), (256, 1.0)])
def test_diffusion_is_that_of_its_twin(shape, n_colors, strength):
    image, palette = random_image(*shape), random_palette(n_colors)
    labels = fastkq.remap(image, palette, dither="diffusion", dither_strength=strength)
    expected = naive.diffuse(to_steps(image), to_steps(palette), PASSED_ON * strength)
    assert np.array_equal(labels, expected)


def test_diffusion_by_hand():
    """Gray 99, whose lightness is 510 steps, between grays of 355 and 677."""
    image = np.full((2, 3), 99, np.uint8)
    palette = [[58, 58, 58], [147, 147, 147], [156, 156, 156], [165, 165, 165]]
    assert [round(float(to_light(level))) for level in (99, 58, 147)] == [510, 355, 677]
    # Of each error, 4/5 are passed on.
    # Row 0: 510 -> 355 (error 155); 510 + 54 -> 677 (-113); 510 - 40 -> 355 (115).
    # Row 1, from the right: 510 + 4/5 (5 * 115 - 113) / 16 = 533 -> 677 (-144);
    # 510 - 50 + 4/5 (3 * 115 - 5 * 113 + 155) / 16 = 457 -> 355 (102);
    # 510 + 36 + 4/5 (-3 * 113 + 5 * 155) / 16 = 568 -> 677.
    expected = [[0, 1, 0], [1, 0, 1]]
    assert fastkq.remap(image, palette, dither="diffusion").tolist() == expected


@pytest.mark.parametrize("method", METHODS)
def test_no_strength_is_no_dithering(photo, method):
    plain = fastkq.quantize(photo, 32)
    result = fastkq.quantize(photo, 32, dither=method, dither_strength=0)
    assert np.array_equal(result.labels, plain.labels)
    assert np.array_equal(result.palette, plain.palette)
    assert result.inertia == plain.inertia
    labels = fastkq.remap(photo, plain.palette, dither=method, dither_strength=0)
    assert np.array_equal(labels, plain.labels)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("effort", ["fast", "balanced"])
def test_the_error_is_that_of_the_saved_image(photo, method, effort):
    large = np.tile(photo, (3, 3, 1)) if effort == "fast" else photo
    result = fastkq.quantize(large, 64, effort=effort, dither=method)
    assert result.inertia == squared_error(large, result.palette, result.labels)
    plain = fastkq.quantize(large, 64, effort=effort)
    assert np.array_equal(result.palette, plain.palette)
    assert result.inertia > squared_error(large, plain.palette, plain.labels)
    # From afar, it is nearer to the image; ordered by less, where 64 colors are mixed with bounds.
    most = 0.95 if method == "ordered" else 0.75
    assert far_error(large, result) < most * far_error(large, plain)


def far_error(image, result):
    """The mean squared error of means of 4x4 pixels."""
    difference = result.to_array().astype(float) - image
    height, width = (side // 4 * 4 for side in difference.shape[:2])
    parts = difference[:height, :width].reshape(height // 4, 4, width // 4, 4, 3)
    return np.mean(parts.mean(axis=(1, 3)) ** 2)


@pytest.mark.parametrize("method", METHODS)
def test_gray_is_dithered_as_equal_channels(method):
    gray = random_image(150, 83)[..., 0]
    palette = fastkq.quantize(gray, 6).palette
    labels = fastkq.remap(gray, palette, dither=method)
    colors = np.repeat(gray[..., None], 3, axis=2)
    assert np.array_equal(labels, fastkq.remap(colors, palette, dither=method))
    assert len(np.unique(labels)) == 6


@pytest.mark.parametrize("method", METHODS)
def test_colors_of_the_palette_stay_untouched(method):
    palette = random_palette(200)
    exact = np.random.default_rng(1).integers(0, 200, (150, 70)).astype(np.uint8)
    labels = fastkq.remap(palette[exact], palette, dither=method)
    assert np.array_equal(palette[labels], palette[exact])


@pytest.mark.parametrize("level", [70, 100, 127, 145])
def test_a_flat_patch_keeps_its_mean_lightness(level):
    """Between two grays of many, and in a part that a strip does not start at."""
    palette = np.arange(0, 256, 15, np.uint8)[:, None].repeat(3, axis=1)
    labels = fastkq.remap(np.full((256, 192), level, np.uint8), palette, dither="diffusion")
    lightness = to_light(palette[labels][..., 0])
    assert abs(lightness.mean() - to_light(level)) < 1
    assert abs(lightness[70:134, 31:95].mean() - to_light(level)) < 2


def test_a_flat_area_stays_flat_when_adaptive():
    """A color within a level of its entry is not worth noise."""
    image = np.full((80, 60, 3), 100, np.uint8)
    palette = [[100, 100, 101], [100, 100, 96], [90, 100, 110]]
    assert np.all(fastkq.remap(image, palette, dither="adaptive") == 0)
    assert not np.all(fastkq.remap(image, palette, dither="diffusion") == 0)


def test_strengths_are_those_of_the_twin():
    table = np.random.default_rng(3).integers(0, 256, 256).astype(np.uint8)
    for shape in [(1, 1), (1, 9), (9, 1), (37, 23)]:
        image = random_image(*shape)
        strengths = np.zeros(shape, np.uint8)
        kernels.contrast.map_strengths(as_rows(image).reshape(shape[0], -1), table, strengths)
        assert np.array_equal(strengths, naive.map_strengths(image, table))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (71, 67)])
@pytest.mark.parametrize(("n_colors", "strength"), [(1, 1.0), (2, 1.0), (30, 1.0), (200, 0.5)])
def test_ordered_is_that_of_its_twin(n_colors, strength, shape, n_threads):
    image, palette = random_image(*shape), random_palette(n_colors)
    image[shape[0] // 2] = palette[0]  # which is to stay as it is
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    labels = fastkq.remap(image, palette, dither="ordered", dither_strength=strength)
    nearest = fastkq.remap(image, palette)
    expected = naive_ordered.mix(
        np.pad(to_steps(image), ((0, 0), (0, 0), (0, 1))),
        np.full(shape, 255),
        np.pad(to_steps(palette), ((0, 0), (0, 1))),
        np.full(n_colors, 255),
        np.all(image == palette[nearest], axis=2),
        nearest,
        blue_noise_ranks(),
        strength,
    )
    assert np.array_equal(labels, expected)


def test_ordered_by_hand():
    """Gray 99, whose lightness is 510 steps, between grays of 355 and 677: see the one above."""
    image = np.full((2, 2), 99, np.uint8)
    palette = [[58, 58, 58], [147, 147, 147], [156, 156, 156], [165, 165, 165]]
    # Of each error, 0.6 are passed on, clockwise; the last pixel of this square takes so much:
    last = 0.3 + 0.6 * (blue_noise_ranks()[0, 0] + 0.5) / 4096
    # 510 -> 355 (error 155); 510 + 93 -> 677 (-74); 510 - 44 -> 355 (111); 510 + 111 last -> ?
    expected = 1 if 510 + 111 * last > (355 + 677) / 2 else 0
    assert fastkq.remap(image, palette, dither="ordered").tolist() == [[0, 1], [expected, 0]]


def test_ordered_depends_on_place_and_square_alone():
    image, palette = random_image(130, 90), random_palette(20)
    changed = image.copy()
    changed[41:50, 21:60] = 7
    one, other = (fastkq.remap(frame, palette, dither="ordered") for frame in (image, changed))
    same = np.ones(one.shape, bool)
    same[40:50, 20:60] = False
    assert np.array_equal(one[same], other[same])
    assert not np.array_equal(one, other)
    moved = np.concatenate([image[:128], image])  # by as much as the mask repeats in
    below = fastkq.remap(moved, palette, dither="ordered")[128:]
    assert np.array_equal(below, one)


@pytest.mark.parametrize("level", range(61, 75))
def test_a_flat_patch_dithered_in_order_is_near_its_lightness(level):
    """Its mean is off by less than a fifth of the way between the two grays that are mixed."""
    palette = np.arange(0, 256, 15, np.uint8)[:, None].repeat(3, axis=1)
    labels = fastkq.remap(np.full((256, 192), level, np.uint8), palette, dither="ordered")
    lightness = to_light(palette[labels][..., 0])
    assert set(np.unique(labels)) <= {4, 5}
    way = to_light(75) - to_light(60)
    assert abs(lightness.mean() - to_light(level)) < 0.2 * way
    assert abs(lightness[70:134, 31:95].mean() - lightness.mean()) < 0.02 * way


def test_the_mask_is_what_its_script_makes(tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "make_blue_noise.py"
    made = tmp_path / "blue_noise.npy"
    subprocess.run([sys.executable, script, made], check=True)
    assert np.array_equal(np.load(made), blue_noise_ranks())
    assert sorted(blue_noise_ranks().ravel()) == list(range(64 * 64))


def test_the_mask_is_blue():
    mask = blue_noise_ranks().astype(float)
    power = np.abs(np.fft.fft2(mask - mask.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(len(mask))] * 2))
    low = power[(frequency > 0) & (frequency < 0.15)].mean()
    assert low < 0.01 * power[frequency > 0.35].mean()


def ramps():
    """Smooth gradients across, along and aslant to the strips."""
    line = np.linspace(90, 130, 640)
    return {
        "across": line[:, None].repeat(640, axis=1),
        "along": line[None].repeat(640, axis=0),
        "aslant": (line[:, None] + line) / 2,
    }


def error_at_borders(image, palette, labels, n_rows):
    """The error of means of n_rows x 16 pixels that straddle borders, against that of others."""
    errors = to_light(palette[labels][..., 0]).astype(float) - to_light(image)
    sums = np.cumsum(np.pad(errors.reshape(640, 40, 16).mean(axis=2), ((1, 0), (0, 0))), axis=0)
    squares = np.mean((sums[n_rows:] - sums[:-n_rows]) ** 2, axis=1)  # by their first row
    strip = kernels.dither.STRIP_ROWS
    first = np.arange(strip, 640, strip) - n_rows // 2
    near = (first[:, None] + np.arange(-n_rows, n_rows + 1)).ravel()
    others = np.setdiff1d(np.arange(20, len(squares) - 20), near)
    return np.sqrt(squares[first].mean() / squares[others].mean())


@pytest.mark.parametrize("name", ramps())
def test_borders_of_strips_cannot_be_seen(name):
    """Neither single rows nor areas at a border are farther from the image than others are.

    Means of several palettes: where a pattern repeats, its phase matters.
    """
    strip, ratios = kernels.dither.STRIP_ROWS, []
    for offset in (-50, -30, 0, 30, 60, 90):
        image = np.rint(offset + ramps()[name]).astype(np.uint8)
        palette = np.array([[offset + v] * 3 for v in (70, 90, 110, 130, 150)], np.uint8)
        labels = fastkq.remap(image, palette, dither="diffusion")
        pieces = [image[row : row + strip] for row in range(0, 640, strip)]
        alone = [fastkq.remap(piece, palette, dither="diffusion") for piece in pieces]
        ratios.append(
            [
                error_at_borders(image, palette, each, n_rows)
                for each in (labels, np.concatenate(alone))
                for n_rows in (1, 8)
            ]
        )
    means = np.mean(ratios, axis=0)
    assert np.all(means[:2] < 1.2)
    # What the first rows would be without warming up: the test can tell.
    assert means[2] > 1.3


def test_a_strip_is_as_noisy_as_the_whole():
    """The noise of an image of several strips is that of the twin, which has one."""
    image = np.rint(ramps()["along"][:300, 200:280]).astype(np.uint8)
    palette = np.array([[v, v, v] for v in (70, 90, 110, 130, 150)], np.uint8)
    labels = fastkq.remap(image, palette, dither="diffusion")
    whole = naive.diffuse(
        to_steps(np.repeat(image[..., None], 3, axis=2)), to_steps(palette), PASSED_ON
    )
    strip = kernels.dither.STRIP_ROWS
    assert np.array_equal(labels[:strip], whole[:strip])
    noise, usual = (np.std(palette[each][..., 0] - image.astype(float)) for each in (labels, whole))
    assert abs(noise - usual) < 0.03 * usual


@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_threads(method):
    if numba.config.NUMBA_NUM_THREADS < 4:
        pytest.skip(f"Numba was started with {numba.config.NUMBA_NUM_THREADS} threads")
    image, before = random_image(611, 173), numba.get_num_threads()
    results = set()
    try:
        for n_threads in (1, 2, 3, 4):
            numba.set_num_threads(n_threads)
            result = fastkq.quantize(image, 19, dither=method)
            results.add((result.labels.tobytes(), result.palette.tobytes(), result.inertia))
    finally:
        numba.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("block_rows", [1, 10, 64, 100, 1000])
def test_by_blocks_it_is_the_same(method, block_rows, tmp_path, monkeypatch):
    image = random_image(333, 57)
    dithered = fastkq.quantize(image, 23, dither=method)
    monkeypatch.setattr(blocks, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", block_rows * 57)
    report = fastkq.compress(image, tmp_path / "blocks.png", 23, dither=method, color_space="srgb")
    assert report.mse == dithered.mse
    with Image.open(tmp_path / "blocks.png") as decoded:
        assert np.array_equal(np.asarray(decoded), dithered.labels)


def test_a_job_dithers(tmp_path, photo):
    source = tmp_path / "photo.png"
    Image.fromarray(photo).save(source)
    adaptive = {"dither": "adaptive", "dither_strength": 0.5}
    plain, dithered = JobOptions(check_options(8)), JobOptions(check_options(8, **adaptive))
    assert plain.settings == "8 colors, balanced, srgb, min_savings 0"
    assert dithered.settings == "8 colors, balanced, srgb, dither adaptive 0.5, min_savings 0"
    own = fastkq.quantize(photo, 8, dither="adaptive", dither_strength=0.5)
    with_palette = JobOptions(check_options(palette=own.palette, **adaptive))
    for name, options in (("own", dithered), ("given", with_palette)):
        target = tmp_path / f"{name}.png"
        result = run_job(Job(str(source), str(target)), options)
        assert result.error is None
        assert result.psnr == own.psnr
        with Image.open(io.BytesIO(target.read_bytes())) as decoded:
            assert np.array_equal(np.asarray(decoded), own.labels)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dither": "floyd"}, ValueError, "dither is 'floyd'; one of .*'adaptive'.* is allowed"),
        ({"dither_strength": 1.5}, ValueError, "dither_strength is 1.5; a number from 0 to 1"),
        ({"dither_strength": "1"}, TypeError, "dither_strength is '1'; a number from 0 to 1"),
    ],
)
def test_wrong_options(options, error, message, tmp_path):
    image = np.zeros((2, 2), np.uint8)
    with pytest.raises(error, match=message):
        fastkq.quantize(image, **options)
    with pytest.raises(error, match=message):
        fastkq.remap(image, [[0, 0, 0]], **options)
    with pytest.raises(error, match=message):
        fastkq.compress(image, tmp_path / "a.png", **options)
    with pytest.raises(error, match=message):
        fastkq.compress_many([], tmp_path, **options)
