"""What users call: `quantize` of an array and `compress` of a file."""

import numpy as np
import pytest
from errors import mean_squared_error
from PIL import Image

import fastkq

COLORS = (16, 64, 256)


@pytest.mark.benchmark(group="quantize")
@pytest.mark.parametrize("n_colors", COLORS)
def test_quantize(measure, image, n_colors):
    result = measure(
        lambda: fastkq.quantize(image, n_colors),
        image[..., 0].size,
        K=n_colors,
        count=lambda result: {"iterations": result.n_iter, "mse": result.mse},
    )
    assert np.array_equal(np.unique(result.labels), np.arange(n_colors))
    assert result.mse == mean_squared_error(image, result.palette[result.labels])


@pytest.mark.benchmark(group="compress")
@pytest.mark.parametrize("n_colors", COLORS)
def test_compress(measure, image, tmp_path, n_colors):
    """From JPEG to PNG: decoding and writing are part of it."""
    source, target = tmp_path / "photo.jpg", tmp_path / "photo.png"
    Image.fromarray(image).save(source, quality=92)
    report = measure(
        lambda: fastkq.compress(source, target, n_colors, allow_larger=True),
        image[..., 0].size,
        K=n_colors,
        count=lambda report: {"mse": report.mse, "bytes": report.target_bytes},
    )
    assert report.target_bytes == target.stat().st_size
    with Image.open(target) as written, Image.open(source) as decoded:
        assert written.mode == "P"
        assert written.size == (report.width, report.height) == image.shape[1::-1]
        pair = [np.asarray(file.convert("RGB")) for file in (decoded, written)]
    assert report.mse == mean_squared_error(*pair)
