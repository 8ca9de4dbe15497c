"""PNG of grays without a palette: the same pixels, in no more bytes."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from test_png import parse

import fastkq
from fastkq.files import png
from fastkq.files.attached import NOTHING, Attached
from fastkq.files.gray import encode_gray_png, gray_values
from fastkq.files.mark import is_own_output
from fastkq.files.png import bits_per_index, encode_indexed_png

STEPS = {1: 255, 2: 85, 4: 17, 8: 1}


def picture(bits, *, transparent, shape=(40, 61)):
    """An image of all levels of so many bits, with holes instead of black where asked for."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(bits).integers(0, 2, shape)
    image = ((x // 3 + y // 2 + noise) % (1 << bits) * STEPS[bits]).astype(np.uint8)
    if not transparent:
        return image
    alpha = np.where(image == 0, 0, 255).astype(np.uint8)
    return np.stack([image, alpha], axis=2)


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


def as_rgba(image):
    if image.ndim == 2:
        image = np.stack([image, np.full_like(image, 255)], axis=2)
    return image[..., [0, 0, 0, 1]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("optimize", [False, True])
def test_gray_files_show_the_same_and_are_not_larger(tmp_path, bits, transparent, optimize):
    image = picture(bits, transparent=transparent)
    result = fastkq.quantize(image)
    data = result.encode(optimize=optimize)
    assert len(data) <= len(encode_indexed_png(result.labels, result.palette, optimize=optimize))
    chunks = parse(data)
    kinds = [b"IHDR", b"tEXt", *[b"tRNS"] * transparent, b"IDAT", b"IEND"]
    assert [kind for kind, _ in chunks] == kinds
    assert chunks[0][1] == struct.pack(">IIBBBBB", 61, 40, bits, 0, 0, 0, 0)
    assert np.array_equal(decode(data), as_rgba(image))
    assert np.array_equal(result.to_array(), image)
    assert np.array_equal(fastkq.quantize(data).to_array(), image)
    path = tmp_path / "own.png"
    path.write_bytes(data)
    assert is_own_output(path)
    (again,) = fastkq.compress_many(path, tmp_path / "out", jobs=1)
    assert again.status == "skipped: own output"


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rows_that_end_within_a_byte(bits, width):
    image = picture(bits, transparent=False, shape=(37, width))
    result = fastkq.quantize(image)
    data = encode_gray_png(result.labels, result.palette)
    if data is not None:
        assert np.array_equal(decode(data), as_rgba(image))
    assert np.array_equal(decode(result.encode()), as_rgba(image))


@pytest.mark.parametrize(
    ("palette", "values"),
    [
        ([[0, 0, 0], [255, 255, 255]], [0, 1]),
        ([[255, 255, 255]], [1]),
        ([[0, 0, 0], [254, 254, 254]], None),
        ([[0, 0, 0], [255, 255, 254]], None),
        ([[85, 85, 85], [0, 0, 0], [170, 170, 170]], [1, 0, 2]),
        ([[85, 85, 85], [0, 0, 0], [171, 171, 171]], None),
        ([[0, 0, 0, 0], [255, 255, 255, 255]], [0, 1]),
        ([[0, 0, 0, 9], [255, 255, 255, 255]], None),  # translucent
        ([[255, 255, 255, 0], [0, 0, 0, 255]], None),  # a color under an alpha of 0
        ([[0, 0, 0, 0], [0, 0, 0, 255]], None),  # black that is seen
        ([[0, 0, 0, 255], [255, 255, 255, 255]], [0, 1]),
    ],
)
def test_which_palettes_are_gray(palette, values):
    found = gray_values(np.array(palette, np.uint8))
    assert (None if found is None else found.tolist()) == values


def test_levels_of_any_kind_fit_into_eight_bits():
    grays = np.random.default_rng(0).permutation(256)[:17].astype(np.uint8)
    assert np.array_equal(gray_values(np.repeat(grays[:, None], 3, axis=1)), grays)
    assert bits_per_index(17) == 8


def test_what_must_have_a_palette_keeps_it(monkeypatch):
    image = picture(8, transparent=False)
    grays = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    for options in ({"palette": grays[::-1]}, {"locked": [[255, 255, 255]]}):
        with Image.open(io.BytesIO(fastkq.compress(image, **options))) as written:
            assert written.mode == "P"
            assert written.getpalette()[:3] == [255, 255, 255]
    profile = b"a profile of RGB, which a gray PNG may not have"
    result = fastkq.quantize(image)
    kwargs = {"attached": Attached(profile), "n_kept": 0}
    from fastkq.files import formats

    assert formats.encode(result.labels, result.palette, **kwargs)[25] == 3
    kwargs["attached"] = NOTHING
    assert formats.encode(result.labels, result.palette, **kwargs)[25] == 0
    monkeypatch.setattr(png, "LARGE_PIXELS", 1)  # too little to gain, for the time
    assert formats.encode(result.labels, result.palette, **kwargs)[25] == 3


def test_the_smaller_of_the_two_is_taken(monkeypatch):
    from fastkq.files import gray

    result = fastkq.quantize(picture(4, transparent=False))
    indexed = encode_indexed_png(result.labels, result.palette, n_kept=0)
    for n_bytes, color_type in ((len(indexed), 0), (len(indexed) + 1, 3)):
        made = bytes(25) + bytes([0]) * (n_bytes - 25)
        monkeypatch.setattr(gray, "encode_gray_png", lambda *_, made=made, **__: made)
        assert result.encode()[25] == color_type
