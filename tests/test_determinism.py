"""The same bytes for the same input: on 1 to 4 threads and under each threading layer."""

import hashlib
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from layers import LAYERS, environment_of_layer

import fastkq
from fastkq.colors import histogram
from fastkq.colors.sampling import MIN_PIXELS
from fastkq.kernels import threads

# A picture above SORT_LIMIT, so that the histogram is counted by slabs.
PIXELS_PER_SLAB = 1 << 15  # of it, so that each thread has one
LARGE = """
import hashlib, io
import numpy as np
import fastkq
rng = np.random.default_rng(0)
smooth = np.add.outer(np.arange(457) // 4, np.arange(367) // 3)[..., None] * [1, 2, 3]
image = (smooth + rng.integers(0, 40, (457, 367, 3))).astype(np.uint8)
"""


def digest(*arrays):
    joined = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(joined).hexdigest()


@pytest.fixture
def large_image():
    names = {}
    exec(LARGE, names)  # noqa: S102 - the very picture that the subprocess makes
    image = names["image"]
    assert image.shape[0] * image.shape[1] > max(histogram.SORT_LIMIT, 4 * PIXELS_PER_SLAB)
    return image


@pytest.fixture
def on_threads(monkeypatch):
    """Run a function on 1 to 4 threads, Numba's and fastkq's; return its results."""
    monkeypatch.setattr(histogram, "PIXELS_PER_SLAB", PIXELS_PER_SLAB)
    before = numba.get_num_threads()
    if numba.config.NUMBA_NUM_THREADS < 4:
        pytest.skip(f"Numba was started with {numba.config.NUMBA_NUM_THREADS} threads")

    def run(function):
        results = []
        for numba_threads in (True, False):
            for n_threads in (1, 2, 3, 4):
                numba.set_num_threads(n_threads)
                with threads.always(numba_threads):
                    results.append(function())
        return results

    yield run
    numba.set_num_threads(before)


def test_a_fast_quantize_on_any_number_of_threads(large_image, on_threads):
    image = np.tile(large_image, (2, 2, 1))
    assert image.shape[0] * image.shape[1] >= 2 * MIN_PIXELS

    def quantize():
        result = fastkq.quantize(image, 64, effort="fast")
        return digest(result.palette, result.labels), result.inertia, result.n_iter

    assert len(set(on_threads(quantize))) == 1


@pytest.mark.parametrize("init", ["wu", "k-means++", "random"])
@pytest.mark.parametrize("n_colors", [16, 256])
def test_quantize_on_any_number_of_threads(large_image, on_threads, init, n_colors):
    def run():
        result = fastkq.quantize(large_image, n_colors, init=init, max_iter=5)
        return digest(result.palette, result.labels), result.inertia, result.n_iter

    assert len(set(on_threads(run))) == 1


@pytest.mark.parametrize("effort", ["balanced", "best"])
def test_colors_that_matter_on_any_number_of_threads(large_image, on_threads, effort):
    image = large_image.copy()
    image[300:320, 200:220] = [250, 0, 250]
    weights = np.random.default_rng(2).random(image.shape[:2])
    weights[:50] = 0
    options = {"weights": weights, "locked": [[0, 255, 0], [1, 2, 3]], "protect": True}

    def run():
        result = fastkq.quantize(image, 24, effort=effort, max_iter=5, **options)
        return digest(result.palette, result.labels), result.inertia, result.n_iter

    assert len(set(on_threads(run))) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_kmeans_on_any_number_of_threads(on_threads, dtype, init):
    rng = np.random.default_rng(1)
    points, weights = rng.normal(size=(60_013, 3)).astype(dtype), rng.random(60_013)

    def run():
        result = fastkq.kmeans(points, 32, sample_weight=weights, init=init, max_iter=5)
        return digest(result.centers, result.labels), result.inertia, result.n_iter

    assert len(set(on_threads(run))) == 1


@pytest.mark.parametrize("layer", LAYERS)
def test_files_under_each_threading_layer(large_image, tmp_path, layer):
    code = LARGE + (
        "buffer = io.BytesIO()\n"
        "from fastkq.kernels import threads\n"
        "with threads.always(True):\n"
        "    fastkq.quantize(image, 64, max_iter=5).save(buffer)\n"
        "print(hashlib.sha256(buffer.getvalue()).hexdigest())\n"
        "import numba\n"
        "print(numba.threading_layer())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment_of_layer(layer),
        capture_output=True,
        text=True,
        check=False,
    )
    if "No threading layer could be loaded" in run.stderr:
        pytest.skip(f"this Numba has no threading layer {layer}")
    assert run.returncode == 0, run.stderr
    fastkq.quantize(large_image, 64, max_iter=5).save(tmp_path / "here.png")
    here = hashlib.sha256((tmp_path / "here.png").read_bytes()).hexdigest()
    assert run.stdout.split() == [here, layer]


MOST_BYTES_A_PIXEL = 30  # that more threads may take: four tables, of a small image

MANY = (
    LARGE
    + """
import resource, numba
from fastkq.kernels import threads
image = np.tile(image, (4, 8, 1))
alpha = np.linspace(0, 255, image.shape[1]).astype(np.uint8)
pictures = [image, np.dstack([image, np.broadcast_to(alpha, image.shape[:2])])]
for picture in pictures:
    fastkq.quantize(picture[:300, :300], 64, max_iter=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
digest = hashlib.sha256()
for always in (True, False):
    with threads.always(always):
        for picture in pictures:
            digest.update(fastkq.compress(picture, n_colors=64, max_iter=3, lossy=20, format="png"))
print(digest.hexdigest(), numba.get_num_threads())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / image[..., 0].size)
"""
)


@pytest.mark.slow
def test_sixteen_threads_give_the_same_bytes_in_bounded_memory():
    """On fewer cores they wait for each other in every order there is."""
    found = {}
    for n_threads in (2, 16):
        run = subprocess.run(
            [sys.executable, "-c", MANY],
            env=os.environ | {"NUMBA_NUM_THREADS": str(n_threads)},
            capture_output=True,
            text=True,
            check=True,
        )
        digest, threads_used, bytes_a_pixel = run.stdout.split()
        assert int(threads_used) == n_threads
        found[n_threads] = digest, float(bytes_a_pixel)
    assert found[2][0] == found[16][0]
    assert found[16][1] < found[2][1] + MOST_BYTES_A_PIXEL
