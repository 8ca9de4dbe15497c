"""SSIMULACRA 2: the reference program's scores, a slow twin, edges, and where a score is told."""

import csv
import json
import math
import subprocess
import sys

import naive_ssimulacra2 as naive
import numpy as np
import pytest
from conftest import IMAGES, SHARED_PHOTOS
from painting import PLAIN

import fastkq
from fastkq import kernels
from fastkq.cli import main
from fastkq.colors import ssimulacra2
from fastkq.colors.ssimulacra2 import Picture, score_pictures
from fastkq.kernels.ssimulacra2 import RADIUS, STRIP, TAPS, TILE

METRIC = SHARED_PHOTOS.parent / "metric"
# The reference program's own rounding is larger there; and files of 16 bits are read as 8.
NOISY = {"alpha_k32_none", "gray129_64", "gray16to8"}
DEEP = {"gray16to8", "rgb16to8"}


def read_scores(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pairs():
    """The committed pairs, and those beside the repository where they are there."""
    found = [(IMAGES / "score", row) for row in read_scores(IMAGES / "score" / "scores.csv")]
    if METRIC.is_dir():
        found += [(METRIC, row) for row in read_scores(METRIC / "pairs.csv")]
    return found


def random_pair(height, width, channels=3, seed=0):
    """A smooth picture, and it with noise and fewer levels in some part."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / (5 + c) + y / (9 - c)) for c in range(channels)]
    first = np.stack(planes, axis=2).astype(np.uint8)
    second = first.copy()
    second[: height // 2] &= 0xE0
    second = np.clip(second + rng.integers(-9, 10, second.shape), 0, 255).astype(np.uint8)
    return first, second


@pytest.mark.parametrize(("folder", "row"), pairs(), ids=lambda value: str(value)[-24:])
def test_scores_are_those_of_the_reference(folder, row):
    name = row["distorted"].split("/")[-1].removesuffix(".png")
    score = fastkq.ssimulacra2(folder / row["original"], folder / row["distorted"])
    if name in DEEP:
        pytest.skip("fastkq reads 16 bits a channel as 8")
    assert score == pytest.approx(float(row["float64"]), abs=0.01)
    if name not in NOISY:
        assert score == pytest.approx(float(row["score"]), abs=0.5)


def test_the_reference_pairs_are_all_there():
    if not METRIC.is_dir():
        pytest.skip("../shared/metric is not there")
    assert len(read_scores(METRIC / "pairs.csv")) == 140


SIZES = [(8, 8), (9, 8), (13, 17), (112, 113), (113, 131), (3, STRIP + 1), (STRIP + 3, TILE + 9)]


@pytest.mark.parametrize("size", [(max(h, 8), w) for h, w in SIZES])
def test_scores_are_those_of_the_twin(size):
    first, second = random_pair(*size)
    expected = naive.ssimulacra2(first / 255, second / 255)
    assert fastkq.ssimulacra2(first, second) == pytest.approx(expected, abs=2e-3)
    assert expected < 95


def test_bands_are_as_one(monkeypatch):
    first, second = random_pair(4 * STRIP + 5, 50)
    whole = fastkq.ssimulacra2(first, second)
    monkeypatch.setattr(ssimulacra2, "BAND_ROWS", STRIP)
    assert fastkq.ssimulacra2(first, second) == pytest.approx(whole, abs=1e-9)


def test_the_number_of_threads_changes_nothing():
    first, second = random_pair(2 * STRIP + 3, TILE + 101)
    found = set()
    before = kernels.threads.n_threads()
    for n_threads in (1, 2, 3, 4):
        kernels.threads.set_threads(n_threads)
        found.add(fastkq.ssimulacra2(first, second))
    kernels.threads.set_threads(before)
    assert len(found) == 1


def test_more_scales_count_from_113_pixels():
    """The size before halving decides: 112 ends at five scales, and 113 has the sixth."""
    for side, n_scales in ((8, 2), (14, 2), (15, 3), (112, 5), (113, 6), (300, 6)):
        first, second = map(Picture, random_pair(side, side))
        assert len(ssimulacra2._sum_scales(first, second, 0.5)) == n_scales, side


def test_the_taps_are_a_sum_of_truncated_cosines():
    """Charalampidis 2016, equations 37 to 57, at a sigma of 1.5: the coefficients of libjxl."""
    sigma = 1.5
    end = round(3.2795 * sigma + 0.2546)
    omega = np.array([1, 3, 5]) * math.pi / (2 * end)
    signs = np.array([1, -1, 1])
    p = signs / np.tan(omega / 2)
    r = signs * p**2 / np.sin(omega)
    rho = np.exp(-(sigma**2) / 2 * omega**2) / end
    crossed = [p[i] * r[j] - r[i] * p[j] for i, j in ((0, 1), (1, 2), (2, 0))]
    zeta = [crossed[1] / crossed[0], crossed[2] / crossed[0], 1]
    beta = np.linalg.solve([p, r, zeta], [1, end**2 - sigma**2, np.dot(zeta, rho)])
    places = np.arange(-RADIUS, RADIUS + 1)
    assert np.allclose(TAPS, beta @ np.cos(omega[:, None] * places), rtol=1e-12, atol=0)


def test_equal_images_score_exactly_100():
    first, second = random_pair(40, 60)
    assert fastkq.ssimulacra2(first, first.copy()) == 100
    assert fastkq.ssimulacra2(first, second) < 100


def test_gray_is_scored_as_rgb():
    first, second = (image[..., 0].copy() for image in random_pair(40, 33))
    as_rgb = [np.repeat(image[..., None], 3, axis=2) for image in (first, second)]
    expected = fastkq.ssimulacra2(*as_rgb)
    assert fastkq.ssimulacra2(first, second) == expected
    assert fastkq.ssimulacra2(first, as_rgb[1]) == expected


def over(image, gray):
    alpha = image[..., 3:] / 255
    return alpha * image[..., :3] / 255 + (1 - alpha) * gray


@pytest.mark.parametrize("channels", [2, 4])
def test_an_original_with_alpha_is_laid_over_dark_and_bright(channels):
    first, second = random_pair(40, 37, channels)
    rgba = [image[..., [0, 0, 0, 1]] if channels == 2 else image for image in (first, second)]
    scores = [naive.ssimulacra2(*(over(image, gray) for image in rgba)) for gray in (0.1, 0.9)]
    assert fastkq.ssimulacra2(first, second) == pytest.approx(min(scores), abs=2e-3)
    assert abs(scores[0] - scores[1]) > 0.1


def test_a_distorted_image_with_alpha_is_laid_over_middle_gray():
    first, second = random_pair(40, 37, 4)
    expected = naive.ssimulacra2(first[..., :3] / 255, over(second, 0.5))
    assert fastkq.ssimulacra2(first[..., :3], second) == pytest.approx(expected, abs=2e-3)


def test_colors_under_an_alpha_of_0_do_not_count():
    first, _ = random_pair(40, 37, 4)
    first[:20, :, 3] = 0
    second = first.copy()
    second[:20, :, :3] = 200
    assert fastkq.ssimulacra2(first, second) == 100


@pytest.mark.parametrize("alphas", [False, True])
def test_labels_and_palette_score_as_their_pixels(alphas):
    first, _ = random_pair(50, 40, 4 if alphas else 3)
    result = fastkq.quantize(first, 12)
    expected = fastkq.ssimulacra2(first, result.to_array())
    found = score_pictures(Picture(first), Picture(result.labels, result.palette))
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sizes", [((7, 64), (7, 64)), ((64, 7), (64, 7)), ((9, 9), (9, 10))])
def test_sizes_without_a_score_are_refused(sizes):
    first, second = (np.zeros(size, np.uint8) for size in sizes)
    (height, width), (rows, columns) = sizes
    with pytest.raises(ValueError, match=f"{width}x{height} pixels .* {columns}x{rows}; .* 8x8"):
        fastkq.ssimulacra2(first, second)


def test_what_is_read_by_blocks_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("fastkq.files.rows.LARGE_PIXELS", 1000)
    scan = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (40, 50, 3))
    with pytest.raises(ValueError, match=r"original is memmap .* read by blocks"):
        fastkq.ssimulacra2(scan, scan)
    with pytest.raises(ValueError, match=r"memmap .* read by blocks"):
        fastkq.compress(scan, tmp_path / "a.png", score=True)
    assert not (tmp_path / "a.png").exists()


def test_results_have_a_score_where_it_is_asked_for(images, tmp_path):
    photo = images / "kodim03.png"
    result = fastkq.quantize(photo, 16, score=True)
    expected = fastkq.ssimulacra2(photo, result.to_array())
    assert result.score == expected
    assert fastkq.quantize(photo, 16).score is None
    report = fastkq.compress(photo, tmp_path / "a.png", 16, score=True, **PLAIN)
    assert report.score == expected == fastkq.ssimulacra2(photo, tmp_path / "a.png")
    assert fastkq.compress(photo, tmp_path / "a.png", 16).score is None


def test_a_streamed_image_in_memory_has_a_score(monkeypatch, tmp_path):
    first, _ = random_pair(60, 50)
    monkeypatch.setattr("fastkq.files.rows.LARGE_PIXELS", 1000)
    report = fastkq.compress(first, tmp_path / "a.png", 8, score=True)
    assert report.score == fastkq.ssimulacra2(first, tmp_path / "a.png")


def test_the_score_of_a_search_is_that_of_its_result(images, tmp_path):
    photo = images / "photo-sunset.png"
    report = fastkq.compress(photo, tmp_path / "a.png", max_bytes=60_000, score=True)
    assert report.score == fastkq.ssimulacra2(photo, tmp_path / "a.png")


def test_small_images_are_refused_before_anything_is_done(tmp_path):
    with pytest.raises(ValueError, match="a score needs"):
        fastkq.compress(np.zeros((7, 9), np.uint8), tmp_path / "a.png", score=True)
    assert not (tmp_path / "a.png").exists()


def test_the_option_is_a_flag():
    with pytest.raises(TypeError, match="score is 1; True or False is allowed"):
        fastkq.quantize(np.zeros((9, 9), np.uint8), score=1)


def test_the_command_tells_the_score(images, tmp_path, capsys):
    photo = str(images / "photo-sunset.png")
    target = tmp_path / "a.png"
    assert main(["compress", photo, "-k", "16", "--score", "-o", str(target)]) == 0
    expected = fastkq.ssimulacra2(photo, target)
    assert f" dB, SSIMULACRA2 {expected:.1f}, 16 colors" in capsys.readouterr().out
    assert main(["compress", photo, "-k", "16", "--force", "--json", "-o", str(target)]) == 0
    assert json.loads(capsys.readouterr().out)["score"] is None


def test_a_batch_reports_scores(images, tmp_path, capsys):
    photo, report = str(images / "photo-sunset.png"), tmp_path / "run.jsonl"
    out = str(tmp_path / "out")
    options = ["-k", "16", "--score", "-j", "1", "-d", out, "--report", str(report)]
    assert main(["compress", photo, *options]) == 0
    (line,) = [json.loads(line) for line in report.read_text().splitlines()]
    assert line["score"] == fastkq.ssimulacra2(photo, tmp_path / "out" / "photo-sunset.png")
    assert f"SSIMULACRA2 {line['score']:.1f}" in capsys.readouterr().out


def test_files_of_all_kinds_are_taken(images):
    data = (images / "kodim03.png").read_bytes()
    assert fastkq.ssimulacra2(data, images / "kodim03.png") == 100


def test_who_asks_for_no_score_loads_no_kernels_for_it():
    """Nor compiles any; who does needs none of K-means."""
    code = (
        "import sys\n"
        "import fastkq, numpy as np\n"
        "image = np.arange(81, dtype=np.uint8).reshape(9, 9)\n"
        "def loaded(name):\n"
        "    return f'fastkq.kernels.{name}' in sys.modules\n"
        "fastkq.ssimulacra2(image, image)\n"
        "print(loaded('ssimulacra2'), loaded('cells'))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "True False\n"
    code = code.replace("fastkq.ssimulacra2(image, image)", "fastkq.quantize(image, 2)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False True\n"


def test_workers_find_the_kernels_prepared(monkeypatch):
    """Scores are prepared only where they are asked for, and not again."""
    from fastkq.install import first_run, warmup

    prepared, compiled = {"quantizing"}, []
    monkeypatch.setattr(kernels.places, "is_prepared", prepared.__contains__)
    monkeypatch.setattr(kernels.places, "set_prepared", prepared.add)
    for name in ("beginning", "ending"):  # what commands in this process have asked for
        monkeypatch.setattr(kernels.events, name, [])
    monkeypatch.setattr(first_run, "share_compilation", lambda *_, **__: None)
    monkeypatch.setattr(warmup, "compile_scoring", lambda: compiled.append("scoring"))
    first_run.prepare_kernels(pytest.fail)
    assert compiled == []
    for _ in range(2):
        first_run.prepare_kernels(pytest.fail, ["scoring"])
    assert compiled == ["scoring"]
    assert prepared == {"quantizing", "scoring"}
