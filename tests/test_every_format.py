"""Every format, mode and depth: the rows of docs/formats.md, and what goes with them."""

import io

import format_rows
import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.files.read import read_image
from fastkq.files.reading import ReadOptions


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
    data = fastkq.compress(row.make(), **row.options)
    with Image.open(io.BytesIO(data)) as image:
        written = np.asarray(image.convert("RGBA"))
    assert difference(row, written) <= row.near
    reading = {key: value for key, value in row.options.items() if key != "bit_depth"}
    read = read_image(row.make(), ReadOptions(**reading)).array
    assert difference(row, read) <= row.near
    assert read.shape[:2] == np.shape(row.expected)[:2]
