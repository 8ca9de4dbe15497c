"""What comes with an image beside its pixels: profiles, chunks, densities, EXIF and XMP."""

import io
import struct

import format_rows
import numpy as np
import profile_files
import pytest
import slow_png
import tifffile
from format_rows import ADOBE_RGB, P3, RGB, encoded, png, with_chunks
from PIL import Image, ImageCms, features

import fastkq
from fastkq.files import icc, profiles
from fastkq.files.attached import Attached
from fastkq.files.errors import PixelsNotAllowedError
from fastkq.files.mark import is_own_output
from fastkq.files.source import open_source

ORIENTATION_TAG, MODEL_TAG, SOFTWARE_TAG, GPS, DETAILS = 0x0112, 0x0110, 0x0131, 0x8825, 0x8769
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS = ["png", "webp", "gif"]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="d" '
    b'tiff:Orientation="6" dc:title="sea"/></rdf:RDF></x:xmpmeta>'
)


def opened(data):
    return Image.open(io.BytesIO(data))


def seen(data):
    """What a viewer that manages colors shows of a file, in sRGB."""
    with opened(data) as image:
        profile = image.info.get("icc_profile")
        array = np.asarray(image.convert("RGB"))
    return array if profile is None else profiles.to_srgb(profile)(array)


def chunks(data):
    return slow_png.chunks_of(data)


def camera_exif(orientation=1):
    exif = Image.Exif()
    exif[MODEL_TAG], exif[ORIENTATION_TAG] = "A camera", orientation
    exif.get_ifd(DETAILS).update({0xA002: 23, 0xA003: 16})
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 1.0, 2.0)})
    return exif


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("profile", [P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("icc_option", ["keep", "srgb"])
def test_a_picture_looks_the_same_before_and_after(name, profile, icc_option):
    source = encoded(RGB, "PNG", icc_profile=profile)()
    data = fastkq.compress(source, format=name, icc=icc_option)
    assert np.abs(seen(data).astype(int) - seen(source)).max() <= 2
    with opened(data) as image:
        is_kept = name != "gif" and icc_option == "keep"
        assert image.info.get("icc_profile") == (profile if is_kept else None)
    by_result = fastkq.quantize(source, icc=icc_option).encode(name)
    assert np.abs(seen(by_result).astype(int) - seen(source)).max() <= 2


def test_the_values_of_a_profile_that_is_stripped_stay():
    source = encoded(RGB, "PNG", icc_profile=P3)()
    data = fastkq.compress(source, icc="strip")
    assert b"iCCP" not in chunks(data)
    assert np.array_equal(np.asarray(opened(data).convert("RGB")), RGB)
    assert np.abs(seen(data).astype(int) - seen(source)).max() > 20


def test_what_is_srgb_by_another_name_is_not_converted():
    source = encoded(RGB, "PNG", icc_profile=SRGB)()
    for name in FORMATS:
        data = fastkq.compress(source, format=name, icc="srgb")
        assert np.array_equal(np.asarray(opened(data).convert("RGB")), RGB)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"gAMA", struct.pack(">I", 100000)),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        (b"cICP", bytes([12, 13, 0, 1])),
        (b"cICP", bytes([9, 8, 0, 1])),
        (b"sRGB", b"\1"),
    ],
)
def test_numbers_come_along_or_are_converted(kind, body):
    """A WebP has a profile in their stead, and a GIF the colors of sRGB."""
    source = with_chunks(png(RGB, 8, 2), (kind, body))()
    kept = fastkq.compress(source)
    assert chunks(kept)[kind] == body
    with_profile, converted = (fastkq.compress(source, format=name) for name in ("webp", "gif"))
    srgb = fastkq.compress(source, icc="srgb")
    assert chunks(srgb)[b"sRGB"] == b"\0"
    assert np.abs(seen(with_profile).astype(int) - seen(converted)).max() <= 2
    assert np.array_equal(seen(srgb), seen(converted))
    assert (seen(srgb) == RGB).all() == (kind == b"sRGB")
    if kind == b"gAMA":
        expected = profile_files.linear_to_srgb(RGB)
        assert np.abs(seen(converted).astype(int) - expected).max() <= 1


def test_a_late_chunk_says_nothing():
    data = png(RGB, 8, 2)()
    late = data[:-12] + slow_png.chunk(b"gAMA", struct.pack(">I", 100000)) + data[-12:]
    assert b"gAMA" not in chunks(fastkq.compress(late))


@pytest.mark.parametrize("name", ["webp", "gif"])
def test_hdr_is_kept_by_png_alone(name):
    source = with_chunks(png(RGB, 8, 2), (b"cICP", bytes([9, 18, 0, 1])))()
    with pytest.raises(ValueError, match=r"HDR picture \(HLG by its cICP chunk\)"):
        fastkq.compress(source, format=name)
    assert chunks(fastkq.compress(source))[b"cICP"] == bytes([9, 18, 0, 1])


def test_a_profile_that_cannot_be_used_is_told():
    source = encoded(RGB, "PNG", icc_profile=P3[:200] + b"\xff" * 300)()
    with pytest.raises(ValueError, match="color profile that cannot be used") as caught:
        fastkq.compress(source, icc="srgb")
    assert "icc='strip' leaves it out" in str(caught.value)
    fastkq.compress(source, icc="strip")


def test_gray_with_a_profile_of_gray_becomes_that_of_srgb():
    gray = RGB[..., 0].copy()
    expected = profile_files.linear_to_srgb(gray)
    for array in (gray, np.dstack([gray, RGB[..., 1]])):
        data = encoded(array, "PNG", icc_profile=profile_files.gray_profile(1.0))()
        result = fastkq.quantize(data, transparent="keep")
        assert result.is_gray
        assert result.icc_profile is None
        shown = np.atleast_3d(result.to_array())[..., 0].astype(int)
        assert np.abs(shown - expected).max() <= 1
        kept = fastkq.quantize(data, transparent="keep", icc="strip")
        assert np.array_equal(np.atleast_3d(kept.to_array())[..., 0], gray)


def test_made_profiles_are_those_of_the_library():
    """The primaries of Display P3 and a gamma of 2.2, compared with a profile of imagecodecs."""
    import imagecodecs

    numbers = icc.ColorNumbers(icc.PRIMARIES[12], (2.2,))
    xy = [0.68, 0.32, 0.265, 0.69, 0.15, 0.06]
    theirs = imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.329], primaries=xy, gamma=2.2)
    mine = profiles.to_srgb(numbers.to_profile())(RGB)
    assert np.abs(mine.astype(int) - profiles.to_srgb(theirs)(RGB)).max() <= 1
    assert profiles.is_srgb(icc.ColorNumbers(icc.PRIMARIES[1], icc.SRGB_CURVE).to_profile())


def test_numbers_that_are_none_are_told():
    line = ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3), icc.D65)
    with pytest.raises(ValueError, match="on a line"):
        icc.ColorNumbers(line, (1.0,)).to_profile()
    zeros = Attached(color_chunks=((b"cHRM", bytes(32)),))
    with pytest.raises(PixelsNotAllowedError, match="icc='strip' leaves them out"):
        zeros.make_profile()
    with pytest.raises(PixelsNotAllowedError, match="gAMA chunk of 0"):
        Attached(color_chunks=((b"gAMA", bytes(4)),)).make_profile()


def test_a_palette_file_is_srgb_whatever_profile_the_picture_has(tmp_path):
    colors = np.array([[200, 60, 40], [30, 160, 220], [240, 240, 240], [20, 20, 20]], np.uint8)
    (tmp_path / "brand.hex").write_text("".join(f"{bytes(color).hex()}\n" for color in colors))
    source = encoded(RGB, "PNG", icc_profile=P3)()
    for name in FORMATS:
        data = fastkq.compress(source, format=name, palette=tmp_path / "brand.hex")
        used = np.unique(seen(data).reshape(-1, 3), axis=0).astype(int)
        distances = np.abs(used[:, None] - colors[None].astype(int)).max(axis=2)
        assert distances.min(axis=1).max() <= 2
    given = fastkq.quantize(source, 4, locked=colors)  # an array has the picture's own values
    assert np.array_equal(given.palette, colors)


def test_a_palette_is_read_as_srgb_from_a_picture(tmp_path):
    image = Image.fromarray(RGB).quantize(8)
    image.save(tmp_path / "p3.png", icc_profile=P3)
    labels = fastkq.remap(RGB, tmp_path / "p3.png")
    expected = np.array(image.getpalette("RGB")[:24], np.uint8).reshape(1, -1, 3)
    converted = profiles.to_srgb(P3)(expected)[0]
    assert np.array_equal(labels, fastkq.remap(RGB, converted))


def test_a_shared_palette_is_of_srgb(tmp_path):
    """Two pictures that look alike, and differ in profile, share their colors."""
    in_srgb = RGB // 2 + 64
    in_p3 = profiles.from_srgb(in_srgb.reshape(-1, 3), P3).reshape(in_srgb.shape)
    Image.fromarray(in_srgb).save(tmp_path / "a.png")
    Image.fromarray(in_p3).save(tmp_path / "b.png", icc_profile=P3)
    sources = [tmp_path / "a.png", tmp_path / "b.png"]
    options = {"palette": "shared", "allow_larger": True, "jobs": 1}
    results = list(fastkq.compress_many(sources, tmp_path / "out", 64, **options))
    assert [result.status for result in results] == ["done", "done"]
    for name in "ab":
        data = (tmp_path / "out" / f"{name}.png").read_bytes()
        assert np.abs(seen(data).astype(int) - in_srgb).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_a_density_comes_along(kind):
    source = encoded(RGB, kind, dpi=(300, 200))()
    data = fastkq.compress(source)
    assert struct.unpack(">IIB", chunks(data)[b"pHYs"]) == (11811, 7874, 1)
    webp = opened(fastkq.compress(source, format="webp")).getexif()
    assert (round(webp[0x011A]), round(webp[0x011B]), webp[0x0128]) == (300, 200, 2)


def test_the_density_of_a_turned_picture_is_turned():
    for kind in ("PNG", "JPEG", "TIFF"):
        source = encoded(RGB, kind, dpi=(300, 200), exif=camera_exif(6))()
        assert struct.unpack(">IIB", chunks(fastkq.compress(source))[b"pHYs"]) == (7874, 11811, 1)


def test_pixels_that_are_not_square_stay_so():
    body = struct.pack(">IIB", 2, 1, 0)
    data = fastkq.compress(with_chunks(png(RGB, 8, 2), (b"pHYs", body))())
    assert chunks(data)[b"pHYs"] == body
    assert b"pHYs" not in chunks(fastkq.compress(png(RGB, 8, 2)()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("name", ["png", "webp"])
def test_metadata_is_kept_on_demand_alone(kind, name, tmp_path):
    source = encoded(RGB, kind, exif=camera_exif(6), xmp=XMP)()
    if kind == "PNG":
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
        source = with_chunks(encoded(RGB, kind, exif=camera_exif(6)), (b"iTXt", text))()
    with opened(fastkq.compress(source, format=name)) as image:
        assert dict(image.getexif()) in ({}, {SOFTWARE_TAG: "fastkq"})
        assert "xmp" not in image.info
        assert image.size == (16, 23)
    data = fastkq.compress(source, format=name, metadata="keep")
    with opened(data) as image:
        exif = image.getexif()
        assert exif[MODEL_TAG] == "A camera"
        assert ORIENTATION_TAG not in exif
        assert exif.get_ifd(GPS)[1] == "N"
        assert exif.get_ifd(DETAILS) == {0xA002: 16, 0xA003: 23}
        xmp = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        assert b"sea" in xmp
        assert b"Orientation" not in xmp
        assert image.size == (16, 23)  # not turned again
        assert np.array_equal(np.asarray(image.convert("RGB")).shape, (23, 16, 3))
    (tmp_path / f"kept.{name}").write_bytes(data)
    assert is_own_output(tmp_path / f"kept.{name}")


def test_the_layout_of_a_tiff_is_no_metadata():
    source = encoded(RGB, "TIFF", exif=camera_exif(3), compression="tiff_lzw")()
    with opened(fastkq.compress(source, metadata="keep")) as image:
        assert dict(image.getexif())[MODEL_TAG] == "A camera"
        assert not {256, 257, 258, 259, 262, 273, 277, 278, 279, 274} & set(image.getexif())


def test_a_gif_has_no_place_for_metadata():
    with pytest.raises(ValueError, match="metadata is 'keep', and a gif has no place for it"):
        fastkq.compress(RGB, format="gif", metadata="keep")
    result = fastkq.quantize(encoded(RGB, "PNG", exif=camera_exif())(), metadata="keep")
    with pytest.raises(ValueError, match="a gif has no place"):
        result.encode("gif")


@pytest.mark.parametrize("icc_option", ["keep", "srgb", "strip"])
def test_blocks_give_what_the_whole_gives(icc_option, tmp_path):
    big = np.tile(RGB, (20, 20, 1))
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        big,
        photometric="rgb",
        rowsperstrip=16,
        compression="zlib",
        iccprofile=P3,
        resolution=(300, 200),
        resolutionunit="inch",
    )
    with open(path, "ab") as file:  # so that it is long enough to be looked at
        file.write(bytes(70000))
    reading = fastkq.options.check_options(icc=icc_option).reading
    whole = open_source(path, reading)
    blocks = open_source(path, reading, large_pixels=1)
    assert blocks.array is None
    assert np.array_equal(np.concatenate(list(blocks)), whole.array)
    assert blocks.attached == whole.attached
    assert blocks.attached.density == (11811, 7874, 1)


def test_wrong_options_are_told():
    for options, words in (
        ({"icc": "adobe"}, r"icc is 'adobe'; one of \('keep', 'srgb', 'strip'\)"),
        ({"metadata": "gps"}, r"metadata is 'gps'; one of \('none', 'keep'\)"),
        ({"bit_depth": 4}, "bit_depth is 4; 8, or None"),
        ({"bit_depth": 8, "format": "webp"}, "bit_depth is 8, and format is 'webp'; only a png"),
        ({"page": 0}, "page is 0; an integer >= 1 is allowed"),
        ({"page": 1}, "page is 1, and image is an array; a TIFF has pages"),
    ):
        with pytest.raises(ValueError, match=words):
            fastkq.compress(RGB, **options)


def test_the_rows_of_the_table_name_each_section_once():
    sections = [row.section for row in format_rows.ALL]
    assert sections == sorted(sections, key=sections.index)


@pytest.mark.parametrize(
    ("numbers", "kept"), [((12, 13), True), ((9, 16), True), ((1, 13), False), ((1, 1), False)]
)
def test_the_numbers_of_an_avif_become_a_chunk(numbers, kept):
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = bytearray(encoded(RGB, "AVIF")())
    place = data.find(b"colrnclx") + 8
    data[place : place + 4] = struct.pack(">HH", *numbers)
    found = chunks(fastkq.compress(bytes(data))).get(b"cICP")
    assert found == (bytes([*numbers, 0, 1]) if kept else None)
