"""Every format, mode and depth: the rows of docs/formats.md, and what goes with them."""

import io
import subprocess
import sys
from pathlib import Path

import format_rows
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, features

import fastkq
from fastkq.batch.find import find_images
from fastkq.cli import main
from fastkq.files import pages, rows, signatures
from fastkq.files.read import read_image
from fastkq.files.reading import ReadOptions
from fastkq.files.source import open_source

ORIENTATION_TAG = 0x0112


def wide(array):
    """Gray as R = G = B; a missing alpha as 255."""
    array = np.atleast_3d(array).astype(int)
    if array.shape[2] < 3:
        array = np.dstack([array[..., :1]] * 3 + [array[..., 1:]])
    return np.dstack([array, np.full(array.shape[:2], 255)])[..., :4]


def visible(array):
    """Without the color of what is transparent, which a file does not keep."""
    array = wide(array)
    return np.where(array[..., 3:] == 0, 0, array)


def difference(row, array):
    """By how many levels an image differs from what it must be."""
    differences = np.abs(visible(row.expected) - visible(array))
    return int(differences[row.places, row.places].max())


@pytest.mark.parametrize("row", format_rows.ALL, ids=lambda row: f"{row.section}: {row.name}")
def test_each_row_of_the_table(row):
    if not row.is_readable:
        with pytest.raises(fastkq.ImageReadError, match="pip install"):
            fastkq.compress(row.make())
        return
    if row.error:
        with pytest.raises(fastkq.ImageReadError) as caught:
            fastkq.compress(row.make(), **row.options)
        assert row.error in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    # Of all colors, so that what differs was read so.
    data = fastkq.compress(row.make(), lossy=0, color_space="srgb", **row.options)
    with Image.open(io.BytesIO(data)) as image:
        written = np.asarray(image.convert("RGBA"))
    assert difference(row, written) <= row.near
    reading = {key: value for key, value in row.options.items() if key != "bit_depth"}
    read = read_image(row.make(), ReadOptions(**reading)).array
    assert difference(row, read) <= row.near
    assert read.shape[:2] == np.shape(row.expected)[:2]


def plugin_for(kind):
    """Skip where what reads and writes a format is not installed."""
    if kind in ("HEIF", "JXL"):
        module = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}[kind]
        plugin = pytest.importorskip(module)
        if kind == "HEIF":
            plugin.register_heif_opener()
    elif kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JXL"])
def test_every_orientation_is_applied_once(kind, orientation):
    """One corner is white: where it ends up tells how the picture was turned."""
    plugin_for(kind)
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :16] = 255
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    options = {"lossless": True} if kind in ("WEBP", "JXL") else {}
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, exif=exif.tobytes(), **options)
    read = read_image(buffer.getvalue()).array
    plain = Image.fromarray(picture)
    plain.getexif()[ORIENTATION_TAG] = orientation
    expected = np.asarray(ImageOps.exif_transpose(plain))
    assert read.shape[:2] == expected.shape[:2]
    first = read.reshape(*read.shape[:2], -1)[..., :1].astype(int)
    assert np.abs(first - expected[..., :1]).max() < 40
    written = fastkq.compress(buffer.getvalue(), metadata="keep")
    with Image.open(io.BytesIO(written)) as image:
        assert image.getexif().get(ORIENTATION_TAG, 1) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_photos_of_every_orientation(orientation, shared_photos):
    first = read_image(shared_photos / "orientation" / "Landscape_1.jpg").array
    other = read_image(shared_photos / "orientation" / f"Landscape_{orientation}.jpg").array
    assert other.shape == first.shape
    assert np.abs(other.astype(int) - first).mean() < 12


@pytest.mark.parametrize(
    ("module", "name", "kind"),
    [("pillow_heif", "picture.heic", "HEIC"), ("pillow_jxl", "picture.jxl", "JPEG XL")],
)
def test_what_a_missing_plugin_would_read_is_told(module, name, kind, monkeypatch):
    monkeypatch.setattr(signatures, "PLUGINS", {kind: ((f"no_{module}", module),)})
    signatures._is_known.cache_clear()
    try:
        with pytest.raises(fastkq.ImageReadError) as caught:
            read_image(format_rows.SAMPLES / name)
    finally:
        signatures._is_known.cache_clear()
    assert f"is an image in {kind}, which the installed Pillow does not read" in str(caught.value)
    assert str(caught.value).endswith(f"pip install {module}")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_an_avif_of_frames_is_no_picture_unless_its_first_frame_is_wanted(tmp_path):
    pictures = [Image.fromarray(np.full((16, 24, 3), level, np.uint8)) for level in (9, 90, 200)]
    path = tmp_path / "film.avif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    words = "has 3 frames, and only the first one can be read; frame=0 takes it"
    with Image.open(path) as image:
        for source in (path, path.read_bytes(), image):
            for call in (fastkq.compress, fastkq.quantize):
                with pytest.raises(fastkq.ImageReadError, match=words):
                    call(source)
            first = fastkq.quantize(source, frame=0)
            assert abs(int(first.palette[0, 0]) - 9) < 4
            with pytest.raises(ValueError, match="frame is 1, and the image is no animation"):
                fastkq.quantize(source, frame=1)


def test_each_suffix_is_found_in_folders(tmp_path):
    for suffix in signatures.SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(b"")
    assert len(find_images([tmp_path])) == len(signatures.SUFFIXES)


@pytest.mark.parametrize("n_colors", [2, 4, 16])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("optimize", [False, True])
def test_eight_bits_are_written_on_demand(n_colors, gray, optimize):
    levels = (np.arange(21 * 9) % n_colors * (255 // (n_colors - 1))).reshape(9, 21)
    image = levels.astype(np.uint8)
    image = image if gray else np.dstack([image, image // 2, image])
    few, eight = (fastkq.compress(image, bit_depth=depth, optimize=optimize) for depth in (None, 8))
    assert few[24] < eight[24] == 8
    for data in (few, eight):
        with Image.open(io.BytesIO(data)) as opened:
            assert np.array_equal(np.asarray(opened.convert("RGB")), visible(image)[..., :3])


def test_large_pictures_have_eight_bits_too(monkeypatch):
    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    image = (np.arange(40 * 30) % 2 * 255).astype(np.uint8).reshape(30, 40)
    for data in (
        fastkq.compress(image, bit_depth=8),
        fastkq.quantize(image).encode(bit_depth=8),
    ):
        assert data[24] == 8
        with Image.open(io.BytesIO(data)) as opened:
            assert np.array_equal(np.asarray(opened.convert("L")), image)


def write_pages(path, n_pages, **options):
    pages = [Image.fromarray(np.full((8, 9, 3), 20 * page, np.uint8)) for page in range(n_pages)]
    pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:], **options)


def test_a_page_is_an_image(tmp_path):
    path = tmp_path / "scan.tif"
    write_pages(path, 3)
    for source in (path, path.read_bytes()):
        for page in (1, 2, 3):
            assert fastkq.quantize(source, page=page).palette.tolist() == [[20 * (page - 1)] * 3]
        for page, words in (
            (None, "has 3 pages, each an image; page 1 to 3 is allowed"),
            (4, "has 3 pages, and page is 4; page 1 to 3 is allowed"),
            ("all", "has 3 pages, and page is 'all', which is for batches"),
        ):
            with pytest.raises(fastkq.ImageReadError, match=words):
                fastkq.quantize(source, page=page)
    Image.new("RGB", (3, 4)).save(tmp_path / "one.png")
    assert fastkq.quantize(tmp_path / "one.png", page=1).labels.shape == (4, 3)
    with pytest.raises(fastkq.ImageReadError, match="has 1 page, and page is 2; page 1 is allowed"):
        fastkq.quantize(tmp_path / "one.png", page=2)


def test_deep_pages_are_pages(tmp_path):
    deep = np.stack([np.full((8, 9, 3), 257 * level, np.uint16) for level in (7, 90)])
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    assert fastkq.quantize(tmp_path / "deep.tif", page=2).palette.tolist() == [[90] * 3]


def test_smaller_copies_and_masks_are_no_pages(tmp_path):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as file:
        image = np.full((64, 64, 3), 9, np.uint8)
        file.write(image, photometric="rgb")
        file.write(image[::2, ::2], photometric="rgb", subfiletype=1)
        file.write(image[..., 0] > 3, photometric="mask", subfiletype=4)
    assert pages.count_pages(str(path)) == 1
    assert fastkq.quantize(path).palette.tolist() == [[9, 9, 9]]


def test_a_page_by_blocks(tmp_path):
    path = tmp_path / "large.tif"
    images = np.random.default_rng(0).integers(0, 256, (2, 200, 300, 3), dtype=np.uint8)
    tifffile.imwrite(path, images, photometric="rgb", rowsperstrip=16, compression="zlib")
    for page in (1, 2):
        source = open_source(path, ReadOptions(page=page), large_pixels=1000)
        assert source.array is None
        assert np.array_equal(np.concatenate(list(source)), images[page - 1])
    with pytest.raises(fastkq.ImageReadError, match="has 2 pages"):
        open_source(path, large_pixels=1000)


@pytest.mark.parametrize("directory", ["out", None])
def test_all_pages_have_numbered_files(directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pages("scan.tif", 10)
    Image.new("RGB", (3, 4)).save("one.bmp")
    run = {"page": "all", "jobs": 1, "report": "lines"}
    results = list(fastkq.compress_many(["scan.tif", "one.bmp"], directory, **run))
    ending = "" if directory else "-fastkq"
    names = [f"scan-page{page:02}{ending}.png" for page in range(1, 11)]
    folder = tmp_path / (directory or ".")
    assert [result.status for result in results[:10]] == ["done"] * 10
    for page, name in enumerate(names):
        with Image.open(folder / name) as image:
            assert set(np.asarray(image.convert("L")).ravel()) == {20 * page}
    again = list(fastkq.compress_many(["scan.tif", "one.bmp"], directory, **run))
    assert {result.status for result in again} <= {"skipped: exists", "no gain"}


def test_the_command_writes_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pages("scan.tif", 2)
    assert main(["compress", "scan.tif", "-j", "1"]) == 1
    assert "scan.tif: has 2 pages, each an image; page 1 to 2" in capsys.readouterr().err
    assert main(["compress", "scan.tif", "--page", "2", "-o", "second.png"]) == 0
    assert main(["compress", "scan.tif", "--page", "all", "-j", "1"]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "scan-page1-fastkq.png",
        "scan-page2-fastkq.png",
        "second.png",
    ]
    for arguments in (["-o", "x.png"], ["-d", "out", "--copy-unchanged"], ["--in-place"]):
        with pytest.raises(SystemExit):
            main(["compress", "scan.tif", "--page", "all", *arguments])
    assert main(["palette", "scan.tif", "--page", "all", "-j", "1", "-o", "all.hex"]) == 0
    assert (tmp_path / "all.hex").read_text().split() == ["000000", "141414"]


def test_the_document_is_what_the_rows_give():
    """`python scripts/render_formats.py` writes it."""
    if not all(row.is_readable for row in format_rows.ALL):
        pytest.skip("a plugin of Pillow's is not installed")
    scripts = Path(__file__).parents[1] / "scripts"
    if not scripts.is_dir():
        pytest.skip("the scripts are not here")
    command = [sys.executable, str(scripts / "render_formats.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
