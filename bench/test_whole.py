"""What users call: `quantize` of an array and `compress` of a file."""

import numpy as np
import pytest
from PIL import Image

import fastkq

COLORS = (16, 64, 256)


@pytest.mark.benchmark(group="quantize")
@pytest.mark.parametrize("n_colors", COLORS)
def test_quantize(measure, picture, n_colors):
    n_pixels = picture[..., 0].size
    result = measure(lambda: fastkq.quantize(picture, n_colors), n_pixels, K=n_colors)
    rows = slice(None, None, max(1, len(picture) // 20))
    restored = result.to_array()
    assert len(result.palette) == n_colors
    assert np.array_equal(restored[rows], result.palette[result.labels[rows]])
    error = sum(
        int(((picture[row].astype(int) - restored[row]) ** 2).sum()) for row in range(len(picture))
    )
    assert result.inertia == error


@pytest.mark.benchmark(group="compress")
@pytest.mark.parametrize("n_colors", COLORS)
def test_compress(measure, picture, tmp_path, n_colors):
    source, target = tmp_path / "photo.jpg", tmp_path / "photo.png"
    Image.fromarray(picture).save(source, quality=92)
    report = measure(
        lambda: fastkq.compress(source, target, n_colors), picture[..., 0].size, K=n_colors
    )
    with Image.open(target) as image:
        assert image.mode == "P"
        assert image.size == (report.width, report.height) == picture.shape[1::-1]
    assert report.target_bytes == target.stat().st_size
