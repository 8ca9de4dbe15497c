"""The codes of an animated GIF's frames, with and without errors, against slow twins."""

import dataclasses

import naive_gif
import numba
import numpy as np
import pytest
from test_lossy import textured_image

import fastkq
from fastkq import kernels
from fastkq.animation.steady import Costs, Steady
from fastkq.files import gif_codes
from fastkq.files.deltas import DRAWN, MAY_HOLD, MUST_HOLD, Drawing, Rectangle, pack_colors
from fastkq.files.gif_blocks import cut_blocks
from fastkq.files.gif_codes import WHEN_WORSE, choose_labels

SHAPES = [(1, 1), (1, 17), (13, 1), (2, 2), (23, 37)]


@dataclasses.dataclass
class Frame:
    """A frame's costs, with its width and transparent entry."""

    costs: Costs
    width: int
    transparent: int

    def __getattr__(self, name):
        return getattr(self.costs, name)


def texture(shape):
    """A picture (H, W, 4)."""
    pixels = np.full((*shape, 4), 255, np.uint8)
    pixels[..., :3] = textured_image(*shape)
    return pixels


def frame_of(pixels, n_colors, lossy, *, transparent=None):
    """A frame whose pixels are drawn, may stay, or must, and how it would be drawn."""
    rng = np.random.default_rng(0)
    shape, before = pixels.shape[:2], pixels.copy()
    before[..., :3] = np.clip(before[..., :3] + rng.integers(-9, 9, (*shape, 3)), 0, 255)
    if transparent is not None:
        before[rng.random(shape) < 0.2] = 0
        pixels[rng.random(shape) < 0.1] = 0
    palette = rng.integers(0, 256, (n_colors, 4), np.uint8)
    palette[:, 3] = 255
    if transparent is not None:
        palette[transparent] = 0
    opaque = np.flatnonzero(palette[:, 3])
    distances = ((pixels[..., None, :3].astype(int) - palette[opaque, :3]) ** 2).sum(axis=-1)
    labels = opaque[distances.argmin(axis=-1)].astype(np.uint8)
    place = Rectangle(0, 0, shape[1], shape[0])
    costs = Steady(lossy).weigh(pixels, pack_colors(before), palette, labels, place)
    kinds = costs.kinds.reshape(shape)
    drawing = Drawing(place, labels, kinds, pack_colors(pixels), palette, transparent, False)
    return costs, drawing


def assert_is_the_twins(costs, drawing, when=WHEN_WORSE):
    """Compare labels and codes; return the codes."""
    codes, labels = choose_labels(costs, drawing)
    if drawing.transparent is None:
        costs = dataclasses.replace(costs, kinds=np.zeros_like(costs.kinds))
    mark = -1 if drawing.transparent is None else drawing.transparent
    costs = dataclasses.replace(costs, passed_on=np.float32(costs.passed_on))
    follow = naive_gif.WithErrors(Frame(costs, drawing.place.width, mark))
    root_bits = kernels.lzw.root_bits(len(drawing.palette))
    expected = naive_gif.find_codes(labels.size, root_bits, *when, follow)
    assert labels.reshape(-1).tolist() == follow.shown
    assert codes == bytes([root_bits]) + cut_blocks(naive_gif.pack(expected, root_bits))
    return expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lossy", [1, 20, 100])
@pytest.mark.parametrize(("n_colors", "transparent"), [(1, None), (3, 0), (60, 7), (256, None)])
def test_labels_with_errors_are_those_of_the_twin(shape, lossy, n_colors, transparent):
    assert_is_the_twins(*frame_of(texture(shape), n_colors, lossy, transparent=transparent))


@pytest.mark.parametrize("when", [WHEN_WORSE, (7, 1.0)])
def test_a_full_dictionary_with_errors_is_the_twins(monkeypatch, when):
    monkeypatch.setattr(gif_codes, "WHEN_WORSE", when)
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (97, 131, 4), np.uint8)
    pixels[..., 3] = 255
    costs, drawing = frame_of(pixels, 16, 3)
    codes = assert_is_the_twins(costs, drawing, when)
    assert len(codes) > 4096
    clear = 16
    assert (clear in codes) == (when != WHEN_WORSE)


@pytest.mark.parametrize("shape", [*SHAPES, (101, 103)])
@pytest.mark.parametrize("n_colors", [2, 5, 256])
@pytest.mark.parametrize(("window", "decline"), [(1, np.inf), (256, 0.9), (7, 1.1)])
def test_codes_without_errors_are_those_of_the_twin(shape, n_colors, window, decline):
    rng = np.random.default_rng(n_colors)
    labels = np.repeat(rng.integers(0, n_colors, shape, np.uint8), 2).reshape(-1)
    kinds = np.repeat(rng.integers(0, 3, shape, np.uint8), 2).reshape(-1)
    root_bits, lzw = kernels.lzw.root_bits(n_colors), kernels.lzw_frames
    codes = np.full(kernels.lzw.most_codes(len(labels)) + 1, -7, np.int16)
    scratch = (
        np.empty((kernels.lzw.N_CODES, 256), np.int16),
        np.empty(kernels.lzw.N_CODES, np.uint8),
        np.empty((2, lzw.BEAM), np.int64),
    )
    n = lzw.find_codes(labels, kinds, 1, root_bits, window, decline, *scratch, codes)
    follow = naive_gif.Exactly(labels, kinds, 1)
    expected = naive_gif.find_codes(len(labels), root_bits, window, decline, follow)
    assert codes[:n].tolist() == expected
    assert codes[-1] == -7
    stream = np.empty(kernels.lzw.packed_size(n), np.uint8)
    n_bytes = kernels.lzw.pack(codes[:n], root_bits, stream)
    assert stream[:n_bytes].tobytes() == naive_gif.pack(expected, root_bits)
    shown = np.array(follow.shown)
    assert (shown[kinds == DRAWN] == labels[kinds == DRAWN]).all()
    assert (shown[kinds == MUST_HOLD] == 1).all()
    free = kinds == MAY_HOLD
    assert ((shown[free] == 1) | (shown[free] == labels[free])).all()


def test_oklab_is_that_of_the_definition():
    """Against Ottosson's matrices in float64, on any number of threads."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20_011, 4), np.uint8)
    pixels.flags.writeable = False
    srgb = pixels[:, :3] / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    expected = 255 * np.cbrt(light @ np.transpose(to_cones)) @ np.transpose(to_lab)
    for n_threads in range(1, 5):
        points = on_threads(n_threads, to_oklab, pixels)
        assert np.allclose(points, expected, atol=1e-3)
        assert np.array_equal(points, on_threads(1, to_oklab, pixels))


def to_oklab(pixels):
    from fastkq.colors.spaces import linear_levels

    points = np.empty((len(pixels), 3), np.float32)
    kernels.lzw_lossy.to_oklab(pixels, linear_levels(), points)
    return points


def on_threads(n_threads, function, *given, **options):
    """What a function returns on so many threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
    try:
        return function(*given, **options)
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("lossy", [0, 30])
@pytest.mark.parametrize("size", [(1, 1), (1, 31), (67, 131)])
def test_films_are_the_same_on_any_number_of_threads(size, lossy):
    frames = np.stack([textured_image(*size, seed=seed) for seed in (0, 0, 1)])
    frames[1, :, : size[1] // 2] ^= 1
    film = fastkq.Animation(frames)
    files = [
        on_threads(n, fastkq.compress, film, format="gif", lossy=lossy, n_colors=50)
        for n in range(1, 5)
    ]
    assert files[1:] == files[:-1]


@pytest.mark.parametrize("kind", ["texture", "noise", "few colors", "gradient"])
def test_more_errors_never_take_more_bytes(kind):
    """A little `lossy` used to take up to 60 % more than none."""
    rng = np.random.default_rng(4)
    frames = np.stack([np.roll(textured_image(70, 90), 3 * i, axis=1) for i in range(4)])
    if kind == "noise":
        frames = rng.integers(0, 256, frames.shape, np.uint8)
    elif kind == "few colors":
        frames = frames // 128 * 128
    elif kind == "gradient":
        frames[:] = (np.add.outer(np.arange(70), np.arange(90)) + 40)[..., None]
        frames[1:, 20:40] += 9
    film = fastkq.Animation(frames)
    sizes = [
        len(fastkq.compress(film, format="gif", lossy=lossy, n_colors=100))
        for lossy in (0, 1, 2, 5, 10, 20, 40, 100, 200)
    ]
    for smaller, larger in zip(sizes[1:], sizes, strict=False):
        assert smaller <= 1.01 * larger
    assert kind in ("few colors", "gradient") or sizes[-1] < 0.8 * sizes[0]
