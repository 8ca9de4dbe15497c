"""Reading: formats, modes, orientation, kinds of source; pixels exact where the format is."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from fastkq.files.read import read_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
ORIENTATION_TAG = 0x0112


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True})],
)
def test_lossless_formats_are_exact(kind, options):
    assert np.array_equal(read_image(encode(Image.fromarray(RGB), kind, **options)).array, RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_gray_stays_gray(kind):
    assert np.array_equal(read_image(encode(Image.fromarray(GRAY), kind)).array, GRAY)


@pytest.mark.parametrize("image", [RGB, GRAY], ids=["rgb", "gray"])
def test_jpeg_is_what_pillow_decodes(image):
    data = encode(Image.fromarray(image), "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(read_image(data).array, expected)


def test_gif_gives_its_first_frame():
    frames = [Image.fromarray(np.full((3, 4, 3), level, np.uint8)) for level in (10, 200)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data).array.tolist() == np.full((3, 4, 3), 10).tolist()


def test_one_bit_is_black_and_white():
    bits = GRAY > 127
    assert np.array_equal(
        read_image(encode(Image.fromarray(bits), "PNG")).array, bits.astype(np.uint8) * 255
    )


def test_indexed_png_is_looked_up():
    image = Image.fromarray(RGB).quantize(9)
    assert np.array_equal(read_image(encode(image, "PNG")).array, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_is_dropped(mode):
    image = Image.fromarray(RGB if mode == "RGBA" else GRAY).convert(mode)
    expected = RGB if mode == "RGBA" else GRAY
    assert np.array_equal(read_image(encode(image, "PNG")).array, expected)
    assert np.array_equal(read_image(image).array, expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept_where_a_pixel_is_not_opaque(mode):
    image = Image.fromarray(RGB).convert(mode)
    image.putalpha(Image.fromarray(np.where(GRAY.max() == GRAY, 254, 255).astype(np.uint8)))
    for source in (encode(image, "PNG"), image, np.asarray(image)):
        array = read_image(source).array
        assert np.array_equal(array, np.asarray(image))
        assert array.shape[2] == len(mode)


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_transparent_color_is_alpha_where_it_is_used(mode):
    image = Image.fromarray(np.array([[0, 0, 255]], np.uint8)).convert("RGB").convert(mode)
    used, unused = {"P": (0, 99), "RGB": ((0, 0, 0), (1, 2, 3)), "L": (0, 7)}[mode]
    data = encode(image, "PNG", transparency=used)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("LA" if mode == "L" else "RGBA"))
    array = read_image(data).array
    assert np.array_equal(array, expected)
    assert sorted(array[0, :, -1].tolist()) in ([0, 0, 255], [0, 255, 255])
    if mode != "P":
        opaque = read_image(encode(image, "PNG", transparency=unused)).array
        assert np.array_equal(opaque, np.asarray(image))


def test_sixteen_bit_gray_is_rounded():
    """257 levels make one: 128 is the last that rounds to 0, 129 the first that rounds to 1."""
    levels = np.array([[0, 128, 129, 257, 385, 386, 65406, 65407, 65535]], np.uint16)
    result = read_image(encode(Image.fromarray(levels), "PNG")).array
    assert result.tolist() == [[0, 0, 1, 1, 1, 2, 254, 255, 255]]
    assert result.dtype == np.uint8


def test_sixteen_bit_gray_with_a_transparent_level():
    levels = np.array([[0, 300, 65535]], np.uint16)
    data = encode(Image.fromarray(levels), "PNG", transparency=300)
    assert read_image(data).array.tolist() == [[[0, 255], [1, 0], [255, 255]]]
    assert read_image(encode(Image.fromarray(levels), "PNG", transparency=7)).array.ndim == 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_every_format_keeps_its_alpha(kind):
    image = Image.fromarray(np.dstack([RGB, np.where(GRAY > 99, 255, 0).astype(np.uint8)]))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    array = read_image(encode(image, kind, **options)).array
    assert np.array_equal(array[..., 3], np.asarray(image)[..., 3])
    assert 0 < np.count_nonzero(array[..., 3]) < GRAY.size


def test_the_profile_of_rgba_is_kept():
    image = Image.fromarray(np.dstack([RGB, GRAY]))
    assert read_image(encode(image, "PNG", icc_profile=srgb_profile())).icc_profile is not None


def test_cmyk_becomes_rgb():
    image = Image.fromarray(RGB).convert("CMYK")
    data = encode(image, "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(read_image(data).array, expected)
    assert read_image(data).array.shape == RGB.shape


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encode(Image.fromarray(RGB), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(data).array, expected)
    assert expected.shape[:2] == ((5, 7) if orientation <= 4 else (7, 5))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(read_image(image).array, expected)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_unknown_orientation_is_no_orientation(orientation):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encode(Image.fromarray(RGB), "PNG", exif=exif)
    assert np.array_equal(read_image(data).array, RGB)


def test_every_kind_of_source(tmp_path):
    path = tmp_path / "photo ü.png"
    path.write_bytes(encode(Image.fromarray(RGB), "PNG"))
    with path.open("rb") as file:
        sources = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), file]
        sources += [bytearray(path.read_bytes()), Image.open(path), Image.fromarray(RGB), RGB]
        for source in sources:
            assert np.array_equal(read_image(source).array, RGB), type(source)


def test_every_layout_of_an_array():
    wide = np.zeros((5, 14, 3), np.uint8)
    wide[:, ::2] = RGB
    read_only = RGB.copy()
    read_only.flags.writeable = False
    for array in (wide[:, ::2], np.asfortranarray(RGB), read_only, RGB[::-1, ::-1][::-1, ::-1]):
        result = read_image(array).array
        assert np.array_equal(result, RGB)
        assert result.flags.c_contiguous
    with_alpha = np.dstack([RGB, np.full(GRAY.shape, 255, np.uint8)])
    assert np.array_equal(read_image(with_alpha).array, RGB)


def test_the_array_given_stays_writeable():
    mine = RGB.copy()
    read_image(mine)
    mine[0, 0] = 1


@cache
def srgb_profile():
    """A profile, once: it holds the second in which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_color_profile_is_kept(kind):
    data = encode(Image.fromarray(RGB), kind, icc_profile=srgb_profile())
    assert read_image(data).icc_profile == srgb_profile()
    with Image.open(io.BytesIO(data)) as image:
        assert read_image(image).icc_profile == srgb_profile()


def test_the_profile_of_converted_pixels_is_dropped():
    data = encode(Image.fromarray(RGB).convert("CMYK"), "JPEG", icc_profile=srgb_profile())
    assert read_image(data).icc_profile is None
    gray = encode(Image.fromarray(GRAY), "PNG", icc_profile=srgb_profile())
    assert read_image(gray).icc_profile is None


@pytest.mark.parametrize("number", range(1, 9))
def test_real_orientations(shared_photos, number):
    """The same scene, stored in eight ways, comes out upright each time."""
    upright = read_image(shared_photos / "orientation" / "Landscape_1.jpg").array
    turned = read_image(shared_photos / "orientation" / f"Landscape_{number}.jpg").array
    assert turned.shape == upright.shape
    # Other JPEG blocks, so only nearly the same pixels; mirrored ones are far off.
    assert np.abs(turned.astype(int) - upright).mean() < 5
    assert np.abs(turned[:, ::-1].astype(int) - upright).mean() > 20
