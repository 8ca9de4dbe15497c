"""Settings that must stand before Numba is loaded."""

from __future__ import annotations

import os
from pathlib import Path

# Thread-count tests want up to 4 threads on any machine.
os.environ.setdefault("NUMBA_NUM_THREADS", "4")

import numpy as np
import pytest
from hypothesis import settings

# Examples are fixed, so that a run that passed passes again; the first ones compile kernels.
settings.register_profile("fastkq", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("fastkq")

IMAGES = Path(__file__).parent / "images"
SHARED_PHOTOS = Path(__file__).parents[2] / "shared" / "photos"


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace):
    doctest_namespace["np"] = np


@pytest.fixture
def images():
    """The folder of the committed pictures."""
    return IMAGES


@pytest.fixture
def shared_photos():
    """The folder of the large picture collection, which is not part of the repository."""
    if not SHARED_PHOTOS.is_dir():
        pytest.skip("the picture collection ../shared/photos is not here")
    return SHARED_PHOTOS
