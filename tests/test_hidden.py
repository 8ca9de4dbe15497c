"""Colors under an alpha of 0: kept, or bled from visible neighbours."""

import io

import numpy as np
import pytest
from painting import PLAIN
from PIL import Image

import fastkq
from fastkq.colors.bleed import bleed
from fastkq.files import rows

METHODS = ["none", "diffusion", "ordered", "adaptive"]


@pytest.fixture
def sprite():
    """A disk (90, 101, 4), half red and half blue, on transparent stripes of green."""
    y, x = np.mgrid[:90, :101]
    image = np.zeros((90, 101, 4), np.uint8)
    image[..., 1] = np.where(y // 10 % 2, 200, 90)
    distance = np.hypot(y - 45, x - 50)
    seen = distance < 31
    image[seen, 1] = 0
    image[..., 0] = np.where(seen & (x < 50), 255 - x, 0)
    image[..., 2] = np.where(seen & (x >= 50), 155 + x, 0)
    image[..., 3] = np.clip((31 - distance) * 60, 0, 255)
    return image


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_seen_is_as_without(sprite, method):
    kept = fastkq.quantize(sprite, 32, transparent="keep", dither=method)
    plain = fastkq.quantize(sprite, 31, dither=method)
    seen = sprite[..., 3] > 0
    assert kept.palette.shape == (32, 4)
    assert np.count_nonzero(kept.palette[:, 3] == 0) == 2  # a sixteenth
    visible, expected = kept.to_array()[seen], plain.to_array()[seen]
    assert np.array_equal(visible[:, 3], expected[:, 3])
    shown = expected[:, 3] > 0  # dithered edges are transparent here and there
    assert np.array_equal(visible[shown], expected[shown])
    assert kept.inertia == plain.inertia


def test_kept_colors_are_those_of_the_image(sprite):
    hidden = sprite[..., 3] == 0
    kept = fastkq.quantize(sprite, 64, transparent="keep")
    assert np.array_equal(kept.to_array()[hidden], sprite[hidden])  # of two colors
    assert np.array_equal(decode(kept.encode()), kept.to_array())
    assert np.array_equal(decode(kept.encode("webp")), kept.to_array())
    black = fastkq.quantize(sprite, 64)
    assert not black.to_array()[hidden].any()
    assert np.count_nonzero(black.palette[:, 3] == 0) == 1


def test_bled_colors_are_those_of_neighbours(sprite):
    bled = fastkq.quantize(sprite, 256, transparent="bleed").to_array().astype(int)
    hidden, seen = sprite[..., 3] == 0, sprite[..., 3] > 0
    assert (bled[hidden, 3] == 0).all()
    left, right = bled[45, :15], bled[45, 86:]
    assert (left[:, 0] > 150).all()
    assert (left[:, 2] < 60).all()
    assert (right[:, 2] > 150).all()
    assert (right[:, 0] < 60).all()
    assert not bled[hidden, 1].any()
    assert (bled[seen, 3] > 0).all()


def slow_neighbours(image, y, x):
    """The mean color of the visible pixels around one, each weighed by its alpha."""
    around = image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].reshape(-1, 4).astype(float)
    return (around[:, :3] * around[:, 3:]).sum(axis=0) / around[:, 3].sum()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (8, 1), (13, 17), (32, 31)])
def test_bleeding_equals_its_twin_beside_what_is_seen(shape):
    rng = np.random.default_rng(shape[1])
    image = rng.integers(0, 256, (*shape, 4), dtype=np.uint8)
    image[..., 3] *= rng.random(shape) < 0.2
    bled = bleed(image)
    seen = image[..., 3] > 0
    assert np.array_equal(bled[seen], image[seen])
    assert np.array_equal(bled[..., 3], image[..., 3])
    near = np.pad(seen, 1)
    for y, x in np.argwhere(~seen):
        if near[y : y + 3, x : x + 3].any():
            assert np.abs(bled[y, x, :3] - slow_neighbours(image, y, x)).max() <= 0.51
    if seen.any():
        low, high = image[seen].min(axis=0), image[seen].max(axis=0)
        assert ((bled[~seen, :3] >= low[:3]) & (bled[~seen, :3] <= high[:3])).all()


def test_gray_with_alpha_bleeds(sprite):
    gray = sprite[..., [0, 3]]
    result = fastkq.quantize(gray, 40, transparent="bleed")
    assert result.is_gray
    assert result.to_array().shape == gray.shape
    hidden = gray[..., 1] == 0
    assert result.to_array()[45, :15, 0].min() > 150
    assert not result.to_array()[hidden][:, 1].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["keep", "bleed"])
def test_by_blocks_as_in_memory(sprite, monkeypatch, tmp_path, method, mode):
    expected = fastkq.quantize(sprite, 64, transparent=mode, dither=method)
    scan = np.lib.format.open_memmap(tmp_path / "scan.npy", "w+", np.uint8, sprite.shape)
    scan[:] = sprite
    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    monkeypatch.setattr(rows, "BLOCK_PIXELS", 101 * 7)
    data = fastkq.compress(scan, None, 64, transparent=mode, **PLAIN | {"dither": method})
    assert np.array_equal(decode(data), expected.to_array())


def test_options_beside_it(sprite):
    locked = [[9, 8, 7, 0], [255, 0, 0, 255]]
    result = fastkq.quantize(sprite, 32, transparent="keep", locked=locked)
    assert result.palette[:2].tolist() == locked
    few = fastkq.quantize(sprite, 2, transparent="keep", locked=[[255, 0, 0], [0, 0, 255]])
    assert few.palette[:, :3].tolist() == [[255, 0, 0], [0, 0, 255]]
    opaque = fastkq.quantize(sprite[..., :3], 16, transparent="bleed")
    assert np.array_equal(opaque.palette, fastkq.quantize(sprite[..., :3], 16).palette)
    with pytest.raises(ValueError, match=r"transparent is 'white'; one of \('black', 'keep'"):
        fastkq.quantize(sprite, transparent="white")


def test_a_target_counts_hidden_entries_as_well(sprite):
    result = fastkq.quantize(sprite, max_mse=30, transparent="keep")
    assert result.mse <= 30
    again = fastkq.quantize(sprite, len(result.palette), transparent="keep")
    assert np.array_equal(again.palette, result.palette)
