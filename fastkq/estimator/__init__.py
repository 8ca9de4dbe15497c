"""K-means and color quantization as estimators of scikit-learn: `pip install "fastkq[sklearn]"`.

`KMeans` takes the place of `sklearn.cluster.KMeans` for dense data; `ColorQuantizer` has images
instead of samples.
"""

from fastkq.estimator.kmeans import KMeans
from fastkq.estimator.quantizer import ColorQuantizer

__all__ = ["ColorQuantizer", "KMeans"]
