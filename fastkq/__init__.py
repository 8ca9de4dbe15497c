"""fastkq: compress large photos, fast, by K-means color quantization.

Read an image, run exact K-means over all its pixels, replace each pixel by its closest centroid and
write an indexed PNG several times smaller. See `quantize` and `compress` to start.
"""

from fastkq._version import __version__
from fastkq.batch import JobResult, compress_many
from fastkq.histogram import ColorHistogram, color_histogram
from fastkq.kmeans import KMeansResult, kmeans
from fastkq.quantize import (
    CompressReport,
    QuantizeResult,
    compress,
    fit_palette,
    quantize,
)
from fastkq.remap import remap

__all__ = [
    "ColorHistogram",
    "CompressReport",
    "JobResult",
    "KMeansResult",
    "QuantizeResult",
    "__version__",
    "color_histogram",
    "compress",
    "compress_many",
    "fit_palette",
    "kmeans",
    "quantize",
    "remap",
]
