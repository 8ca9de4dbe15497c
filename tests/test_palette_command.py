"""`fastkq palette`: swatches on the terminal, shares, orders, and files for other programs."""

import csv
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.cli import main
from fastkq.colors.order import sort_palette
from fastkq.command.color import wants_color
from fastkq.engine.shares import palette_shares
from fastkq.files.palettes import read_palette, write_palette

COLORS = np.array([[255, 0, 0], [0, 0, 0], [255, 255, 255], [0, 0, 255]], np.uint8)
COUNTS = [100, 400, 200, 300]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "flag.png"
    pixels = np.repeat(COLORS, COUNTS, axis=0).reshape(25, 40, 3)
    Image.fromarray(pixels).save(path)
    return path


def test_without_a_terminal_it_prints_plain_lines(picture, capsys):
    assert main(["palette", str(picture), "-k", "8"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "#000000   40.0%",
        "#0000ff   30.0%",
        "#ffffff   20.0%",
        "#ff0000   10.0%",
    ]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("share", ["#000000", "#0000ff", "#ffffff", "#ff0000"]),
        ("hue", ["#000000", "#ffffff", "#ff0000", "#0000ff"]),
        ("lightness", ["#000000", "#0000ff", "#ff0000", "#ffffff"]),
    ],
)
def test_orders(picture, tmp_path, capsys, order, expected):
    assert main(["palette", str(picture), "--sort", order]) == 0
    printed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == expected
    path = tmp_path / "palette.json"
    assert main(["palette", str(picture), "--sort", order, "-o", str(path)]) == 0
    content = json.loads(path.read_text())
    assert content["colors"] == expected
    assert sorted(content["shares"]) == [0.1, 0.2, 0.3, 0.4]


def on_terminal(*arguments, **variables):
    """Return what the command writes to a terminal."""
    main_end, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
    with subprocess.Popen(
        [sys.executable, "-m", "fastkq", *map(str, arguments)], stdout=other_end, env=environment
    ) as process:
        os.close(other_end)
        text = b""
        try:
            while piece := os.read(main_end, 4096):
                text += piece
        except OSError:  # how a terminal ends
            pass
        assert process.wait(60) == 0
    os.close(main_end)
    return text.decode().replace("\r\n", "\n")


def test_a_terminal_shows_swatches_unless_colors_are_not_wanted(picture):
    shown = on_terminal("palette", picture, "-k", 4)
    first = shown.splitlines()[0]
    assert first == "\x1b[48;2;0;0;0m      \x1b[0m  #000000   40.0%"
    plain = on_terminal("palette", picture, "-k", 4, NO_COLOR="1")
    assert plain == re.sub("\x1b\\[48[^m]*m +\x1b\\[0m  ", "", shown)


def test_who_gets_colors(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_color(Terminal())
    assert not wants_color(io.StringIO())
    assert not wants_color(None)
    monkeypatch.setenv("NO_COLOR", "")  # empty is as if it were not there
    assert wants_color(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_color(Terminal())


def test_a_wrong_suffix_is_told(picture, capsys):
    with pytest.raises(SystemExit):
        main(["palette", str(picture), "-o", "x.pal"])
    assert "x.pal: a palette must be a .gpl, .act, .ase, .hex" in capsys.readouterr().err


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_shares_are_those_of_the_nearest_colors(space):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    image[:5, :, 3], image[5:10, :, 3] = 0, 255
    result = fastkq.quantize(image, 9, color_space=space)
    found = palette_shares(fastkq.color_histogram(image), result.palette, space)
    np.testing.assert_allclose(found, result.shares)


def test_opaque_shares_without_an_opaque_color():
    histogram = fastkq.color_histogram(np.zeros((2, 2, 3), np.uint8))
    shares = palette_shares(histogram, np.array([[0, 0, 0, 200], [255, 255, 255, 9]], np.uint8))
    assert shares.tolist() == [1, 0]


def test_unseen_colors_come_last_by_hue_and_lightness():
    palette = np.array([[0, 0, 0, 0], [255, 255, 255, 255], [0, 0, 0, 255]], np.uint8)
    shares = np.array([0.5, 0.2, 0.3])
    assert sort_palette(palette, shares, "share").tolist() == [0, 2, 1]
    assert sort_palette(palette, shares, "hue").tolist() == [2, 1, 0]
    assert sort_palette(palette, shares, "lightness").tolist() == [2, 1, 0]


PALETTE = np.array([[255, 128, 0], [1, 2, 3]], np.uint8)
SHARES = np.array([0.75, 0.25])


def exported(tmp_path, suffix, palette=PALETTE, shares=SHARES):
    path = tmp_path / f"brand{suffix}"
    write_palette(path, palette, shares)
    return path.read_bytes()


def test_ase_by_hand(tmp_path):
    data = exported(tmp_path, ".ase")
    assert data[:12] == b"ASEF\x00\x01\x00\x00\x00\x00\x00\x02"
    kind, length, letters = struct.unpack(">HIH", data[12:20])
    assert (kind, length, letters) == (1, 2 + 2 * 8 + 18, 8)
    assert data[20:36].decode("utf-16-be") == "#ff8000\0"
    space, red, green, blue, usage = struct.unpack(">4sfffH", data[36:54])
    assert (space, red, blue, usage) == (b"RGB ", 1.0, 0.0, 2)
    assert green == pytest.approx(128 / 255)
    assert len(data) == 12 + 2 * (6 + length)


def test_css_and_csv(tmp_path):
    assert exported(tmp_path, ".css").decode() == (
        ":root {\n  --color-1: #ff8000;\n  --color-2: #010203;\n}\n"
    )
    rows = list(csv.DictReader(io.StringIO(exported(tmp_path, ".csv").decode())))
    assert rows[0] == {
        "hex": "#ff8000",
        "red": "255",
        "green": "128",
        "blue": "0",
        "share": "0.750000",
    }
    assert exported(tmp_path, ".csv", shares=None).splitlines()[0] == b"hex,red,green,blue"


def test_svg_is_xml_with_a_square_a_color(tmp_path):
    palette = np.arange(17 * 3, dtype=np.uint8).reshape(17, 3)
    tree = ET.fromstring(exported(tmp_path, ".svg", palette, None))  # noqa: S314 - our own
    squares = list(tree.iter("{http://www.w3.org/2000/svg}rect"))
    assert [square.get("fill") for square in squares[:2]] == ["#000102", "#030405"]
    assert (squares[16].get("x"), squares[16].get("y")) == ("0", "32")
    assert tree.get("viewBox") == "0 0 512 64"
    titles = ET.fromstring(exported(tmp_path, ".svg"))[0][0].text  # noqa: S314 - our own
    assert titles == "#ff8000, 75.0%"


@pytest.mark.parametrize("suffix", [".png", ".json", ".hex"])
def test_colors_with_alpha_come_back(tmp_path, suffix):
    palette = np.array([[9, 8, 7, 255], [1, 2, 3, 50], [9, 8, 7, 255]] * 6, np.uint8)
    exported(tmp_path, suffix, palette, np.full(18, 1 / 18))
    np.testing.assert_array_equal(read_palette(tmp_path / f"brand{suffix}"), palette)


def test_a_png_shows_the_colors_in_order(tmp_path):
    exported(tmp_path, ".png")
    image = np.asarray(Image.open(tmp_path / "brand.png").convert("RGB"))
    assert image.shape == (32, 64, 3)
    assert [image[0, 0].tolist(), image[31, 63].tolist()] == PALETTE.tolist()


def test_ase_has_no_alpha(tmp_path):
    palette = np.array([[9, 8, 7, 255], [1, 2, 3, 50]], np.uint8)
    with pytest.raises(ValueError, match=r"1 of the 2 colors are not opaque, and \.ase files"):
        exported(tmp_path, ".ase", palette)
