"""Reports for browsers: `pip install "fastkq[report]"`.

`report_image` shows one image beside its original, with its colors and what other choices would
give; `report_batch` has a table of many. Both write one HTML file, which asks nothing of a network.
"""

from fastkq.report.batch import report_batch
from fastkq.report.image import report_image
from fastkq.report.measure import Findings, Trial
from fastkq.report.trace import Trace

__all__ = ["Findings", "Trace", "Trial", "report_batch", "report_image"]
