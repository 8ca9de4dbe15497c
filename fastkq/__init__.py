"""fastkq: compress large photos, fast, by K-means color quantization.

Read an image, run exact K-means over all its pixels, replace each pixel by its closest centroid and
write an indexed PNG several times smaller. See `quantize` and `compress` to start.
"""

from typing import TYPE_CHECKING

from fastkq import kernels as kernels  # at once, and without Numba: it watches for forks
from fastkq._version import __version__

if TYPE_CHECKING:
    from fastkq.api import color_histogram, fit_palette, quantize, remap
    from fastkq.batch.job import JobResult
    from fastkq.batch.run import compress_many
    from fastkq.colors.histogram import ColorHistogram
    from fastkq.compression import Compressor, compress
    from fastkq.engine.dense import KMeansResult, kmeans
    from fastkq.engine.search import TargetNotReachedError
    from fastkq.files.errors import ImageReadError
    from fastkq.files.frames import Animation, AnimationError
    from fastkq.result import CompressReport, QuantizeResult
    from fastkq.score import ssimulacra2

__all__ = [
    "Animation",
    "AnimationError",
    "ColorHistogram",
    "CompressReport",
    "Compressor",
    "ImageReadError",
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
    "ssimulacra2",
]

# Where each name lives. They are loaded when they are first asked for: so the command can tell of
# an interrupt while it imports, which takes 0.2 s, and who has one image loads nothing of batches.
_HOMES = {
    "Animation": "files.frames",
    "AnimationError": "files.frames",
    "ColorHistogram": "colors.histogram",
    "CompressReport": "result",
    "ImageReadError": "files.errors",
    "JobResult": "batch.job",
    "KMeansResult": "engine.dense",
    "QuantizeResult": "result",
    "TargetNotReachedError": "engine.search",
    "compress_many": "batch.run",
    "kmeans": "engine.dense",
    "ssimulacra2": "score",
    **dict.fromkeys(("Compressor", "compress"), "compression"),
    **dict.fromkeys(("color_histogram", "fit_palette", "quantize", "remap"), "api"),
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
