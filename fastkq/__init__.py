"""fastkq: compress large photos, fast, by K-means color quantization.

Read an image, run exact K-means over all its pixels, replace each pixel by its closest centroid and
write an indexed PNG several times smaller. See `quantize` and `compress` to start.
"""

from typing import TYPE_CHECKING

from fastkq._version import __version__
from fastkq.api import color_histogram, compress, fit_palette, quantize, remap
from fastkq.colors.histogram import ColorHistogram
from fastkq.engine.dense import KMeansResult, kmeans
from fastkq.engine.search import TargetNotReachedError
from fastkq.result import CompressReport, QuantizeResult

__all__ = [
    "ColorHistogram",
    "CompressReport",
    "JobResult",
    "KMeansResult",
    "QuantizeResult",
    "TargetNotReachedError",
    "__version__",
    "color_histogram",
    "compress",
    "compress_many",
    "fit_palette",
    "kmeans",
    "quantize",
    "remap",
]

if TYPE_CHECKING:
    from fastkq.batch.job import JobResult
    from fastkq.batch.run import compress_many
else:

    def __getattr__(name: str) -> object:
        """Load what batches need when it is first asked for: half the time of the import."""
        if name not in ("JobResult", "compress_many"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from fastkq.batch import run as batch

        return getattr(batch, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
