"""On a cluster: the palettes, labels and files of one machine, also where a worker dies."""

import json
import os
import pickle
import signal
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import fastkq
import fastkq.distributed as on_cluster

dask = pytest.importorskip("dask", reason="the extra fastkq[dask] is not installed")
distributed = pytest.importorskip("distributed", reason="the extra fastkq[dask] is not installed")

da = pytest.importorskip("dask.array", reason="the extra fastkq[dask] is not installed")
db = pytest.importorskip("dask.bag", reason="the extra fastkq[dask] is not installed")
N_IMAGES = 24
PALETTE = np.array([[0, 0, 0], [40, 200, 90], [255, 255, 255]], np.uint8)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    # One thread a worker: Numba's `workqueue` layer bears no second one.
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",  # any port: workers of pytest-xdist have a cluster each
            local_directory=tmp_path_factory.mktemp("workers"),
        ) as started,
        distributed.Client(started) as client,
    ):
        yield client


@pytest.fixture
def in_this_process():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def photos(tmp_path):
    """Smooth pictures, which indexed PNGs make smaller, and two broken files."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(N_IMAGES):
        coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((120, 90), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:03}.bmp")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "empty.png").write_bytes(b"")
    return folder


def files(folder):
    """The files below a folder, hidden ones too, with their contents."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def told(results):
    """What results say, but for where the target is and the time it took."""
    return sorted(
        (r.source, r.status, r.source_bytes, r.target_bytes, r.n_colors, r.psnr, r.error)
        for r in results
    )


def cut(draw, length):
    """A way to cut an axis into chunks."""
    places = draw(st.sets(st.integers(1, length - 1), max_size=3)) if length > 1 else set()
    return tuple(np.diff([0, *sorted(places), length]).tolist())


@st.composite
def cut_images(draw):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    shape += draw(st.sampled_from([(), (3,), (4,)]))
    image = draw(hnp.arrays(np.uint8, shape))
    if shape[2:] == (4,):
        image[..., 3] = 255
    return image, tuple(cut(draw, length) for length in shape)


@given(cut_images(), st.integers(1, 6), st.integers(2, 5))
@settings(max_examples=20)
def test_however_the_array_is_cut(cut_image, n_colors, split_every):
    image, chunks = cut_image
    array = da.from_array(image, chunks=chunks)
    with dask.config.set(scheduler="synchronous"):
        palette = on_cluster.fit_palette(array, n_colors, split_every=split_every)
        labels = on_cluster.remap(array, PALETTE)
        assert labels.chunks == chunks[:2]
        assert labels.dtype == np.uint8
        computed = labels.compute()
    assert np.array_equal(palette, fastkq.fit_palette(image, n_colors))
    assert np.array_equal(computed, fastkq.remap(image, PALETTE))


@pytest.mark.usefixtures("cluster")
def test_a_large_array_on_workers():
    rng = np.random.default_rng(1)
    image = np.clip(rng.normal(120, 40, (500, 600, 3)), 0, 255).astype(np.uint8)
    array = da.from_array(image, chunks=(170, 401, 2))
    palette = on_cluster.fit_palette(array, 32)
    assert np.array_equal(palette, fastkq.fit_palette(image, 32))
    labels = on_cluster.remap(array, palette).compute()
    assert np.array_equal(labels, fastkq.remap(image, palette))


def test_paths_and_bags(cluster, photos):
    paths = sorted(photos.glob("*.bmp"))
    wanted = fastkq.fit_palette(sum_of(paths), 16)
    assert np.array_equal(on_cluster.fit_palette(paths, 16), wanted)
    bag = db.from_sequence(map(str, paths), npartitions=3)
    assert np.array_equal(on_cluster.fit_palette(bag, 16), wanted)
    with pytest.raises(ValueError, match=r"bad\.jpg: cannot be decoded"):
        on_cluster.fit_palette([*paths, photos / "bad.jpg"], 16)
    assert cluster.status == "running"


def sum_of(paths):
    first, *others = (fastkq.color_histogram(path) for path in paths)
    return sum(others, start=first)


@pytest.mark.usefixtures("in_this_process")
def test_empty_blocks_hold_no_colors():
    image = np.arange(36, dtype=np.uint8).reshape(4, 3, 3)
    array = da.from_array(image, chunks=((0, 3, 0, 1), (2, 0, 1), (3,)))
    assert np.array_equal(on_cluster.fit_palette(array, 4), fastkq.fit_palette(image, 4))
    labels = on_cluster.remap(array, PALETTE).compute()
    assert np.array_equal(labels, fastkq.remap(image, PALETTE))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("function", [on_cluster.fit_palette, on_cluster.remap])
def test_other_arrays_are_refused(function):
    option = 4 if function is on_cluster.fit_palette else PALETTE
    with pytest.raises(TypeError, match="dtype float64; allowed are"):
        function(da.zeros((3, 4)), option)
    with pytest.raises(ValueError, match=r"shape \(3, 4, 5\); allowed are"):
        function(da.zeros((3, 4, 5), dtype=np.uint8), option)
    with pytest.raises(TypeError, match="is a ndarray; a"):
        function(np.zeros((3, 4), np.uint8), option)


@pytest.mark.usefixtures("in_this_process")
def test_transparent_pixels_need_a_palette_with_alpha_and_no_pixels_are_refused():
    image = np.full((4, 4, 4), 255, np.uint8)
    image[3, 3, 3] = 254
    array = da.from_array(image, chunks=(2, 2, 1))
    own = [[255, 255, 255, 254], [255, 255, 255, 255]]
    assert on_cluster.fit_palette(array, 4).tolist() == own
    with pytest.raises(ValueError, match=r"has transparent pixels, .* one with alpha, \(K, 4\)"):
        on_cluster.remap(array, PALETTE).compute()
    with_alpha = np.pad(PALETTE, ((0, 0), (0, 1)), constant_values=255)
    labels = on_cluster.remap(array, with_alpha).compute()
    assert np.array_equal(labels, fastkq.remap(image, with_alpha))
    with pytest.raises(ValueError, match="there are no pixels"):
        on_cluster.fit_palette([])


def test_wrong_options_show_before_the_work():
    def fail():
        raise AssertionError("was computed")

    array = da.from_delayed(dask.delayed(fail)(), (4, 4), np.uint8)
    with pytest.raises(ValueError, match="n_colors is 0"):
        on_cluster.fit_palette(array, 0)
    with pytest.raises(ValueError, match="split_every is 1"):
        on_cluster.fit_palette(array, split_every=1)


def test_the_same_files_and_results_as_on_one_machine(cluster, photos, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for options in ({"min_savings": 0.9}, {}, {"palette": "shared", "overwrite": True}):
        wanted = list(fastkq.compress_many([photos], here, 16, jobs=1, **options))
        results = list(on_cluster.compress_many([photos], there, 16, client=cluster, **options))
        assert told(results) == told(wanted)
        assert len(results) == N_IMAGES + 2
        assert files(there) == files(here)
    assert len(files(there)) == N_IMAGES


def test_a_killed_worker_costs_nothing(cluster, photos, tmp_path):
    wanted = list(fastkq.compress_many([photos], tmp_path / "here", 16, jobs=1))
    report = tmp_path / "run.jsonl"
    before = cluster.run(os.getpid)
    results = []
    for result in on_cluster.compress_many(
        [photos], tmp_path / "there", 16, client=cluster, report=report
    ):
        results.append(result)
        if len(results) == 1:
            os.kill(min(before.values()), signal.SIGKILL)
    assert told(results) == told(wanted)
    assert files(tmp_path / "there") == files(tmp_path / "here")
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert Counter(line["source"] for line in lines) == {r.source: 1 for r in wanted}
    wait_until_dead(min(before.values()))

    # Repeated, it has nothing left to do.
    content = report.read_bytes()
    again = on_cluster.compress_many(
        [photos], tmp_path / "there", 16, client=cluster, report=report
    )
    assert Counter(result.status for result in again) == {"skipped: exists": N_IMAGES, "failed": 2}
    assert report.read_bytes() == content


def wait_until_dead(pid):
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"worker {pid} was not killed")


def test_an_image_that_failed_is_tried_again(cluster, photos, tmp_path):
    late = photos / "late.bmp"
    results = {}
    options = {"client": cluster, "retries": 10**6}
    for result in on_cluster.compress_many([photos / "000.bmp", late], tmp_path / "out", **options):
        results[result.source] = result.status
        if not late.exists():
            late.write_bytes((photos / "001.bmp").read_bytes())
    assert results == {str(photos / "000.bmp"): "done", str(late): "done"}


def test_fail_fast_ends_the_run(cluster, photos, tmp_path):
    results = list(
        on_cluster.compress_many(
            [photos / "bad.jpg", *sorted(photos.glob("*.bmp"))],
            tmp_path / "out",
            client=cluster,
            fail_fast=True,
            retries=0,
        )
    )
    assert results[-1].status == "failed"
    assert [result.status for result in results].count("failed") == 1


def test_a_histogram_is_small_on_the_wire():
    rng = np.random.default_rng(2)
    image = np.clip(rng.normal(120, 40, (700, 900, 1)) + rng.normal(0, 4, (700, 900, 3)), 0, 255)
    histogram = fastkq.color_histogram(image.astype(np.uint8))
    sent = pickle.dumps(histogram)
    assert len(sent) < 3 * len(histogram)
    received = pickle.loads(sent)  # noqa: S301 (our own)
    assert np.array_equal(received.codes, histogram.codes)
    assert np.array_equal(received.counts, histogram.counts)
    assert (received.codes.dtype, received.counts.dtype) == (np.uint32, np.int64)


@pytest.mark.parametrize("method", ["diffusion", "ordered", "adaptive"])
@pytest.mark.parametrize("chunks", [(700, 90, 3), (1, 50, 1), (50, 40, 3), (300, 90, 2)])
def test_dithered_blocks_have_no_borders(method, chunks):
    rows, columns = np.mgrid[:519, :90]
    image = np.stack([rows // 3, 2 * columns, (rows + columns) // 3], axis=2).astype(np.uint8)
    palette = fastkq.quantize(image, 12).palette
    array = dask.array.from_array(image, chunks=chunks)
    labels = fastkq.distributed.remap(array, palette, dither=method, dither_strength=0.9)
    assert labels.shape == (519, 90)
    whole = fastkq.remap(image, palette, dither=method, dither_strength=0.9)
    assert np.array_equal(labels.compute(scheduler="threads"), whole)
    plain = fastkq.distributed.remap(array, palette, dither=method, dither_strength=0)
    assert plain.chunks == array.chunks[:2]


def test_dithered_gray_and_cropped_arrays():
    gray = (np.mgrid[:260, :40][0] // 2).astype(np.uint8)
    palette = [[0, 0, 0], [120, 120, 120], [255, 255, 255]]
    array = dask.array.from_array(gray, chunks=(64, 40))
    labels = fastkq.distributed.remap(array[3:, 5:], palette, dither="diffusion")
    assert np.array_equal(labels.compute(), fastkq.remap(gray[3:, 5:], palette, dither="diffusion"))
    unknown = array[dask.array.from_array(gray[:, 0] > 9)]
    with pytest.raises(ValueError, match="unknown sizes"):
        fastkq.distributed.remap(unknown, palette, dither="ordered")
