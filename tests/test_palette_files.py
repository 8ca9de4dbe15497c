"""GIMP palettes: what is written is read back; what is wrong is told by its line."""

import numpy as np
import pytest

from fastkq.palette_files import read_palette, write_palette

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
    with pytest.raises(ValueError, match=r"brand.png: a palette must be a .gpl file"):
        write_palette(tmp_path / "brand.png", PALETTE)
    assert list(tmp_path.iterdir()) == []


def test_a_palette_with_alpha_is_no_gimp_palette(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(1, 4\); GIMP palettes have no alpha"):
        write_palette(tmp_path / "a.gpl", [[1, 2, 3, 4]])
    assert not list(tmp_path.iterdir())
