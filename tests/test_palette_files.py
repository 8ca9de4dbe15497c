"""Palette files: what is written is read back; what is wrong is told by its line."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.files.palettes import parse_hex, read_palette, write_palette

PALETTE = np.array([[255, 0, 7], [0, 0, 0], [255, 0, 7], [12, 34, 56]], np.uint8)


def test_a_palette_comes_back_in_its_order(tmp_path):
    path = tmp_path / "brand.gpl"
    write_palette(path, PALETTE)
    assert np.array_equal(read_palette(path), PALETTE)
    assert path.read_text().splitlines()[:2] == ["GIMP Palette", "Name: brand"]
    assert path.read_text().splitlines()[-1] == " 12  34  56\t#0c2238"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_files_of_other_programs_are_read(tmp_path, ending):
    path = tmp_path / "other.gpl"
    text = ["GIMP Palette", "Name: x", "Columns: 3", "# 1 2 3", "", "1 2 3", "  4\t5 6 Sea blue"]
    path.write_bytes(ending.join(text).encode())
    assert read_palette(path).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no GIMP palette"),
        ("JASC-PAL\n", "is no GIMP palette"),
        ("GIMP Palette\nName: x\n", "has 0 colors; 1 to 256 are allowed"),
        ("GIMP Palette\n" + "1 2 3\n" * 257, "has 257 colors; 1 to 256 are allowed"),
        ("GIMP Palette\n1 2 3\n1 2\n", "line 3 is '1 2'; three levels"),
        ("GIMP Palette\n1 2 256\n", "line 2 is '1 2 256'; three levels"),
        ("GIMP Palette\n1 -2 3\n", "line 2"),
        ("GIMP Palette\n1 2 3x\n", "line 2"),
    ],
)
def test_a_bad_palette_is_an_error_that_says_where(tmp_path, text, words):
    path = tmp_path / "bad.gpl"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_palette(path)
    assert str(path) in str(caught.value)


def test_a_palette_needs_its_suffix(tmp_path):
    words = (
        r"brand.pal: a palette must be a .gpl, .act, .ase, .hex, .json, .csv, .css, .svg or .png"
    )
    with pytest.raises(ValueError, match=words):
        write_palette(tmp_path / "brand.pal", PALETTE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".gpl", ".act", ".hex", ".json", ".HEX"])
@pytest.mark.parametrize("n_colors", [1, 4, 256])
def test_every_format_keeps_order_and_duplicates(tmp_path, suffix, n_colors):
    palette = np.random.default_rng(0).integers(0, 256, (n_colors, 3), dtype=np.uint8)
    palette[-1] = palette[0]
    path = tmp_path / f"brand{suffix}"
    write_palette(path, palette)
    found = read_palette(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, palette)


def test_written_bytes(tmp_path):
    for suffix in (".act", ".hex", ".json"):
        write_palette(tmp_path / f"x{suffix}", PALETTE)
    levels = bytes([255, 0, 7, 0, 0, 0, 255, 0, 7, 12, 34, 56])
    assert (tmp_path / "x.act").read_bytes() == levels + bytes(768 - 12) + b"\0\4\xff\xff"
    assert (tmp_path / "x.hex").read_bytes() == b"ff0007\n000000\nff0007\n0c2238\n"
    content = {"name": "x", "colors": ["#ff0007", "#000000", "#ff0007", "#0c2238"]}
    assert json.loads((tmp_path / "x.json").read_text()) == content


ACT = bytes(range(256)) * 3


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.act", ACT, [[0, 1, 2], [3, 4, 5]]),
        ("a.act", ACT + b"\0\2\xff\xff", [[0, 1, 2], [3, 4, 5]]),
        ("a.act", ACT + b"\0\2\0\2", [[0, 1, 2], [3, 4, 5]]),  # none of the two is transparent
        ("a.hex", b"000102\r\n\r\n#030405", [[0, 1, 2], [3, 4, 5]]),
        ("a.hex", b"\xef\xbb\xbfFFeeDD\n", [[255, 238, 221]]),
        ("a.json", b'[[0, 1, 2], "#030405", "ABCDEF"]', [[0, 1, 2], [3, 4, 5], [171, 205, 239]]),
        ("a.json", b'{"name": "x", "colors": ["010203"]}', [[1, 2, 3]]),
    ],
)
def test_bytes_of_other_programs_are_read(tmp_path, name, data, expected):
    (tmp_path / name).write_bytes(data)
    palette = read_palette(tmp_path / name)
    assert palette[: len(expected)].tolist() == expected
    assert len(palette) == (256 if len(data) == 768 else len(expected))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.act", b"", "has 0 bytes; a color table of 768 or 772 is allowed"),
        ("a.act", ACT[1:], "has 767 bytes"),
        ("a.act", ACT + b"\0\0\xff\xff", "has 0 colors; 1 to 256 are allowed"),
        ("a.act", ACT + b"\1\1\xff\xff", "has 257 colors; 1 to 256"),
        ("a.hex", b"", "has 0 colors; 1 to 256 are allowed"),
        ("a.hex", b"000000\n" * 257, "has 257 colors"),
        ("a.hex", b"000000\nred\n", "line 2 is 'red'; rrggbb or rrggbbaa is allowed"),
        ("a.hex", b"00000g", "line 1 is '00000g'"),
        ("a.hex", b"fff", "line 1 is 'fff'; rrggbb"),
        ("a.hex", b"ff0000f", "line 1 is 'ff0000f'; rrggbb or rrggbbaa is allowed"),
        ("a.json", b"[", "is no JSON: "),
        ("a.json", b"\xff\xff", "is no JSON: "),
        ("a.json", b'{"palette": []}', "has no list of colors; a list, or an object"),
        ("a.json", b"7", "has no list of colors"),
        ("a.json", b"[]", "has 0 colors"),
        (
            "a.json",
            b"[[1, 2]]",
            r"color 1 is '\[1, 2\]'; \[r, g, b\] or \[r, g, b, a\], 0 to 255",
        ),
        ("a.json", b"[[1, 2, 256]]", "color 1 is"),
        ("a.json", b"[[1, 2, true]]", "color 1 is"),
        ("a.json", b"[[1, 2, 3.0]]", "color 1 is"),
        ("a.json", b'["#000000", null]', "color 2 is 'None'"),
        ("a.json", b"[[1, 2, 3, 4, 5]]", "color 1 is"),
        ("a.json", b"[[1, 2, 3, 256]]", "color 1 is"),
        ("a.json", b"[" * 100_000, "is no palette: its lists are nested too deeply"),
        ("a.pal", b"JASC-PAL", "is no palette; a .gpl, .act, .hex or .json file or an image"),
        ("a.png", b"", "is no palette; a .gpl"),
        ("a.png", b"\x89PNG\r\n\x1a\n0000", "cannot be decoded"),
    ],
)
def test_a_broken_file_is_an_error_that_says_what_is_allowed(tmp_path, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        read_palette(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("suffix", [".gpl", ".act", ".hex", ".json", ".png", ".txt", ""])
def test_a_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=r"none.*: no such file"):
        read_palette(tmp_path / f"none{suffix}")


def test_an_indexed_image_gives_its_palette(tmp_path):
    image = Image.fromarray(np.array([[3, 1]], np.uint8)).copy()
    image.putpalette(PALETTE.tobytes())  # entry 2 is unused, and is entry 0 again
    image.save(tmp_path / "indexed.png")
    assert np.array_equal(read_palette(tmp_path / "indexed.png"), PALETTE)
    image.save(tmp_path / "clear.png", transparency=1)
    alphas = [255, 0, *[255] * (len(PALETTE) - 2)]
    expected = np.column_stack([PALETTE, alphas])
    assert np.array_equal(read_palette(tmp_path / "clear.png"), expected)
    image.save(tmp_path / "soft.png", transparency=bytes([7, 255, 128]))
    expected[:, 3] = [7, 255, 128, 255]
    assert np.array_equal(read_palette(tmp_path / "soft.png"), expected)
    image.save(tmp_path / "opaque.png", transparency=bytes([255, 255]))
    assert np.array_equal(read_palette(tmp_path / "opaque.png"), PALETTE)


def test_a_damaged_indexed_image_is_an_error(tmp_path):
    image = Image.fromarray(np.array([[3, 1]], np.uint8)).copy()
    image.putpalette(PALETTE.tobytes())
    image.save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[data.index(b"IEND") - 5] ^= 1  # the last byte of the checksum of IDAT
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.png: cannot be decoded: the checksum of its IDAT"):
        read_palette(tmp_path / "a.png")


def test_a_transparent_gif_gives_its_palette(tmp_path):
    image = Image.fromarray(np.array([[3, 1]], np.uint8)).copy()
    image.putpalette(PALETTE.tobytes())
    image.save(tmp_path / "clear.gif", transparency=3, optimize=False)
    palette = read_palette(tmp_path / "clear.gif")
    with Image.open(tmp_path / "clear.gif") as opened:
        transparent = opened.info["transparency"]
    assert palette[transparent].tolist() == [12, 34, 56, 0]
    assert np.count_nonzero(palette[:, 3] == 0) == 1


def test_an_own_output_gives_its_palette(tmp_path, images):
    result = fastkq.quantize(images / "photo-sunset.png", 37)
    result.save(tmp_path / "own.png")
    assert np.array_equal(read_palette(tmp_path / "own.png"), result.palette)


def test_other_images_give_their_colors_as_they_come(tmp_path):
    rows = [[[9, 9, 9], [200, 0, 0]], [[9, 9, 9], [0, 0, 1]]]
    Image.fromarray(np.array(rows, np.uint8)).save(tmp_path / "rgb.png")
    assert read_palette(tmp_path / "rgb.png").tolist() == [[9, 9, 9], [200, 0, 0], [0, 0, 1]]
    Image.fromarray(np.array([[7, 3, 7, 5]], np.uint8)).save(tmp_path / "gray.bmp")
    assert read_palette(tmp_path / "gray.bmp")[:, 0].tolist() == [7, 3, 5]


def test_a_photo_is_no_palette(images):
    with pytest.raises(ValueError, match=r"kodim03.png: has \d+ colors; 1 to 256 are allowed"):
        read_palette(images / "kodim03.png")


def test_remap_and_compress_take_a_file(tmp_path, images):
    photo = images / "photo-sunset.png"
    write_palette(tmp_path / "brand.hex", PALETTE)
    labels = fastkq.remap(photo, tmp_path / "brand.hex")
    assert np.array_equal(labels, fastkq.remap(photo, PALETTE))
    assert set(np.unique(labels).tolist()) <= {0, 1, 3}  # of equal entries, the first
    report = fastkq.compress(photo, tmp_path / "out.png", palette=str(tmp_path / "brand.hex"))
    with Image.open(tmp_path / "out.png") as image:
        assert np.array_equal(np.asarray(image), labels)
        assert image.getpalette()[:12] == PALETTE.ravel().tolist()
        original = np.asarray(Image.open(photo).convert("RGB")).astype(float)
        mse = np.mean((PALETTE[labels] - original) ** 2) * 3
    assert (report.n_colors, report.n_iter) == (4, 0)
    assert report.mse == pytest.approx(mse)


def test_a_palette_for_an_image_by_blocks(tmp_path, monkeypatch):
    scan = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    fastkq.compress(scan, tmp_path / "whole.png", palette=PALETTE)
    monkeypatch.setattr("fastkq.files.rows.LARGE_PIXELS", 100)
    report = fastkq.compress(scan, tmp_path / "blocks.png", palette=PALETTE)
    assert report.n_colors == 4
    for name in ("whole.png", "blocks.png"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), fastkq.remap(scan, PALETTE))


@pytest.mark.parametrize(
    "options", [{"locked": [[0, 0, 0]]}, {"protect": True}, {"weights": np.ones((4, 4))}]
)
def test_a_given_palette_is_not_fitted(tmp_path, options):
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"palette is given, and (weights|locked|protect); only"):
        fastkq.compress(image, tmp_path / "out.png", palette=PALETTE, **options)


WITH_ALPHA = np.array([[0, 0, 0, 0], [1, 2, 3, 4], [9, 8, 7, 255]], np.uint8)


@pytest.mark.parametrize("suffix", [".gpl", ".act"])
def test_formats_without_alpha_say_so(tmp_path, suffix):
    words = rf"a{suffix}: 2 of the 3 colors are not opaque, and {suffix} files have no alpha; .hex"
    with pytest.raises(ValueError, match=words):
        write_palette(tmp_path / f"a{suffix}", WITH_ALPHA)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".gpl", ".act", ".hex", ".json"])
def test_opaque_alpha_is_written_as_none(tmp_path, suffix):
    opaque = np.column_stack([PALETTE, np.full(len(PALETTE), 255, np.uint8)])
    write_palette(tmp_path / f"a{suffix}", opaque)
    with_alpha = (tmp_path / f"a{suffix}").read_bytes()
    write_palette(tmp_path / f"a{suffix}", PALETTE)
    assert (tmp_path / f"a{suffix}").read_bytes() == with_alpha
    assert np.array_equal(read_palette(tmp_path / f"a{suffix}"), PALETTE)


@pytest.mark.parametrize("suffix", [".hex", ".json"])
def test_alpha_comes_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_palette(path, WITH_ALPHA)
    assert np.array_equal(read_palette(path), WITH_ALPHA)
    assert "01020304" in path.read_text()
    assert "090807ff" in path.read_text()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.hex", b"010203\n04050600\n", [[1, 2, 3, 255], [4, 5, 6, 0]]),
        ("a.hex", b"010203ff\n", [[1, 2, 3]]),
        ("a.json", b'["#01020380", [4, 5, 6], [7, 8, 9, 10]]', None),
        ("a.json", b"[[4, 5, 6, 255]]", [[4, 5, 6]]),
        ("a.act", ACT + b"\0\2\0\1", [[0, 1, 2, 255], [3, 4, 5, 0]]),
    ],
)
def test_alpha_of_other_programs_is_read(tmp_path, name, data, expected):
    (tmp_path / name).write_bytes(data)
    expected = expected or [[1, 2, 3, 128], [4, 5, 6, 255], [7, 8, 9, 10]]
    assert read_palette(tmp_path / name).tolist() == expected


def test_images_with_alpha_give_it(tmp_path):
    rows = [[[9, 9, 9, 255], [200, 0, 0, 0]], [[9, 9, 9, 128], [0, 7, 1, 0]]]
    Image.fromarray(np.array(rows, np.uint8)).save(tmp_path / "rgba.png")
    expected = [[9, 9, 9, 255], [0, 0, 0, 0], [9, 9, 9, 128]]
    assert read_palette(tmp_path / "rgba.png").tolist() == expected
    Image.fromarray(np.array([[[7, 255], [3, 9]]], np.uint8)).save(tmp_path / "la.png")
    assert read_palette(tmp_path / "la.png").tolist() == [[7, 7, 7, 255], [3, 3, 3, 9]]


def test_colors_given_as_text():
    assert parse_hex("#010203") == [1, 2, 3]
    assert parse_hex("01020304") is None
    assert parse_hex("#01020304", alpha=True) == [1, 2, 3, 4]
    assert parse_hex(" 010203 ", alpha=True) == [1, 2, 3, 255]
    assert parse_hex("0102030", alpha=True) is None


@pytest.mark.parametrize("suffix", [".gpl", ".act", ".hex", ".json"])
def test_what_is_no_file_is_told(tmp_path, suffix):
    """A pipe is not waited for."""
    (tmp_path / f"folder{suffix}").mkdir()
    os.mkfifo(tmp_path / f"pipe{suffix}")
    for name, words in (("folder", "is a directory"), ("pipe", "is not a regular file")):
        with pytest.raises(IsADirectoryError, match=f"{name}{suffix}: {words}; a palette file is"):
            read_palette(tmp_path / f"{name}{suffix}")


def test_a_palette_with_alpha_is_used(tmp_path):
    image = np.array([[[0, 0, 0, 0], [1, 2, 3, 4], [9, 8, 7, 255], [200, 8, 7, 255]]], np.uint8)
    write_palette(tmp_path / "a.json", WITH_ALPHA)
    assert fastkq.remap(image, tmp_path / "a.json").tolist() == [[0, 1, 2, 2]]
