"""Scans whose paper is made one color."""

import io

import numpy as np
import pytest
from painting import PLAIN
from PIL import Image

import fastkq
from fastkq.cli import main
from fastkq.colors.paper import MIN_SHARE, RADIUS, find_paper
from fastkq.colors.spaces import OKLAB_UNITS, to_points
from fastkq.files import rows

PAPER, INKS = (236, 232, 220), ((40, 40, 46), (30, 60, 160), (190, 30, 40))


def make_scan(shape=(240, 180)):
    """A page with grain, uneven light and words in three inks, as a camera's JPEG has it."""
    rng = np.random.default_rng(0)
    page = np.full((*shape, 3), PAPER, float)
    for line, top in enumerate(range(12, shape[0] - 12, 14)):
        ink = INKS[0 if line % 4 else 1 + line // 4 % 2]
        for left in range(10, shape[1] - 14, 7):
            height, width = rng.integers(2, 7, 2)
            page[top : top + height, left : left + width // 2 + 1] = ink
    page *= 1 - 0.04 * np.linspace(0, 1, shape[1])[:, None]
    page += rng.normal(0, 3, page.shape) + rng.normal(0, 2, (*shape, 1))
    buffer = io.BytesIO()
    Image.fromarray(page.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    with Image.open(buffer) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def scan():
    return make_scan()


def near_paper(palette, radius=RADIUS):
    points = to_points(np.vstack([palette[:, :3], [PAPER]]).astype(np.uint8), "oklab")
    distances = np.linalg.norm((points[:-1] - points[-1]) / OKLAB_UNITS, axis=1)
    return int(np.sum(distances < radius))


@pytest.mark.parametrize("n_colors", [8, 16])
def test_paper_takes_an_entry_or_two(scan, n_colors):
    plain = fastkq.quantize(scan, n_colors)
    smooth = fastkq.quantize(scan, n_colors, paper=True)
    assert near_paper(plain.palette) >= n_colors / 4
    assert near_paper(smooth.palette) <= 2
    assert len(smooth.encode()) < 0.7 * len(plain.encode())
    # Inks are shown closer for it: their pixels are those far from paper.
    ink = scan.astype(int).sum(axis=2) < 400
    errors = [
        np.mean((result.to_array()[ink].astype(int) - scan[ink]) ** 2) for result in (smooth, plain)
    ]
    assert errors[0] < errors[1]


def test_it_is_the_image_with_its_paper_replaced(scan):
    histogram = fastkq.color_histogram(scan)
    paper = find_paper(histogram)
    points = to_points(scan.reshape(-1, 3), "oklab") / OKLAB_UNITS
    smoothed = paper.smooth(scan)
    changed = (smoothed != scan).any(axis=2)
    assert np.array_equal(np.unique(smoothed[changed], axis=0), [paper.color])
    center = to_points(paper.color[None], "oklab") / OKLAB_UNITS
    distances = np.linalg.norm(points - center, axis=1).reshape(changed.shape)
    assert distances[changed].max() < 1.1 * RADIUS
    assert distances[(smoothed != paper.color).any(axis=2)].min() > 0.9 * RADIUS
    assert MIN_SHARE < (smoothed == paper.color).all(axis=2).mean() < 1
    for dither in ("none", "adaptive"):
        expected = fastkq.quantize(smoothed, 8, dither=dither)
        result = fastkq.quantize(scan, 8, paper=True, dither=dither)
        assert np.array_equal(result.to_array(), expected.to_array())
        assert result.mse == expected.mse


def test_what_is_no_paper_stays(images, scan):
    dark = 255 - scan
    mixed = scan.copy()
    mixed[:160] = np.random.default_rng(0).integers(0, 256, (160, 180, 3))
    for image in (images / "kodim03.png", dark, mixed):
        plain, smooth = (fastkq.quantize(image, 16, paper=flag) for flag in (False, True))
        assert np.array_equal(plain.palette, smooth.palette)
        assert np.array_equal(plain.labels, smooth.labels)
    clear = np.zeros((4, 5, 4), np.uint8)
    assert find_paper(fastkq.color_histogram(clear)) is None


def test_gray_and_alpha(scan):
    gray = np.ascontiguousarray(scan[..., 1])
    smoothed = find_paper(fastkq.color_histogram(gray)).smooth(gray)
    assert smoothed.shape == gray.shape
    assert len(np.unique(smoothed)) < len(np.unique(gray))
    alpha = np.full(gray.shape, 255, np.uint8)
    alpha[:50] = 90
    for image in (np.dstack([gray, alpha]), np.dstack([scan, alpha])):
        paper = find_paper(fastkq.color_histogram(image))
        smoothed = paper.smooth(image)
        assert np.array_equal(smoothed[:50], image[:50])
        assert np.array_equal(smoothed[..., -1], alpha)
        assert (smoothed[50:] != image[50:]).any()


def test_by_blocks_with_a_palette_and_on_the_command_line(scan, tmp_path, monkeypatch):
    source, target = tmp_path / "scan.png", tmp_path / "out.png"
    Image.fromarray(scan).save(source)
    expected = fastkq.compress(source, n_colors=8, paper=True)
    assert main(["compress", str(source), "-o", str(target), "-k", "8", "--paper", "-q"]) == 0
    assert target.read_bytes() == expected
    (result,) = fastkq.compress_many(source, tmp_path / "out", 8, paper=True, jobs=1)
    assert result.status == "done"
    assert (tmp_path / "out" / "scan.png").read_bytes() == expected
    palette = fastkq.fit_palette(source, 8, paper=True)
    assert np.array_equal(palette, fastkq.quantize(source, 8, paper=True).palette)
    given = fastkq.compress(source, palette=palette, paper=True)
    with Image.open(io.BytesIO(given)) as image:
        shown = np.asarray(image.convert("RGB"))
    assert np.array_equal(shown, fastkq.quantize(source, 8, paper=True).to_array())

    class Stored:  # an array on storage, which is read by blocks
        shape, dtype = scan.shape, scan.dtype

        def __getitem__(self, key):
            return scan[key]

    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    monkeypatch.setattr(rows, "BLOCK_PIXELS", 5000)
    streamed = fastkq.compress(Stored(), n_colors=8, paper=True, **PLAIN)
    with Image.open(io.BytesIO(streamed)) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), shown)


def test_wrong_uses(scan, tmp_path):
    with pytest.raises(TypeError, match="paper is 'yes'"):
        fastkq.quantize(scan, paper="yes")
    with pytest.raises(ValueError, match="paper needs an image"):
        fastkq.fit_palette(fastkq.color_histogram(scan), paper=True)
    with pytest.raises(ValueError, match="palette is 'shared'; paper is for"):
        fastkq.compress_many([], tmp_path, palette="shared", paper=True)
