"""`min_score` and `max_bytes`: as lossy as an image may, or must, become."""

import io

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.look import LEAST, MAX_TRIALS, find_clearest, find_lossiest
from fastkq.paint.dither import MOST_LOSSY as MOST


@pytest.mark.parametrize("bend", [0.5, 1, 3])
@pytest.mark.parametrize("wanted", [0, 20, 30, 55.5, 70, 80])
def test_a_search_ends_near_what_is_wanted(wanted, bend):
    """Scores of any shape that fall from 90 to 30."""
    tried = []

    def label(lossy):
        tried.append(lossy)
        return lossy, 90 - 60 * (lossy / MOST) ** bend

    found = find_lossiest(label, wanted)
    assert len(tried) <= MAX_TRIALS
    assert len(set(tried)) == len(tried)
    assert label(found)[1] >= wanted
    best = MOST if wanted <= 30 else MOST * ((90 - wanted) / 60) ** (1 / bend)
    assert found >= max(LEAST, 0.6 * best)


@pytest.mark.parametrize("bend", [0.5, 1, 3])
@pytest.mark.parametrize("most", [10, 300, 1000, 2500, 9000])
def test_a_search_ends_near_the_bytes(most, bend):
    """Sizes of any shape that fall from 3000 to 100."""
    tried = []

    def encode(lossy):
        tried.append(lossy)
        return lossy, round(3000 - 2900 * (lossy / MOST) ** bend)

    found = find_clearest(encode, most)
    assert len(tried) <= MAX_TRIALS
    if most < 100:
        assert found is None
        return
    assert encode(found)[1] <= most
    best = max(LEAST, MOST * (max(0, 3000 - most) / 2900) ** (1 / bend))
    assert found <= 1.6 * best + 1


def test_what_no_labels_reach_is_an_error():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    with pytest.raises(
        fastkq.TargetNotReachedError, match="min_score is 95; 4 colors reach"
    ) as info:
        fastkq.quantize(image, 4, min_score=95)
    assert info.value.n_colors == 4


@pytest.mark.parametrize("wanted", [85, 70])
def test_the_file_has_the_score(images, wanted, tmp_path):
    path = images / "photo-sunset.png"
    report = fastkq.compress(path, tmp_path / "out.png", color_space="oklab", min_score=wanted)
    assert fastkq.ssimulacra2(path, tmp_path / "out.png") == report.score >= wanted
    best = fastkq.compress(path, color_space="oklab", lossy=1)
    assert report.target_bytes < 0.8 * len(best)


def test_lower_scores_are_smaller_files(images):
    sizes = [
        len(fastkq.compress(images / "kodim03.png", color_space="oklab", min_score=score))
        for score in (80, 75, 65)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_drawings_are_exact_whatever_is_asked_for(images):
    path = images / "windows95.png"
    result = fastkq.quantize(path, min_score=10)
    with Image.open(path) as drawing:
        assert np.array_equal(result.to_array(), np.asarray(drawing.convert("RGB")))
    assert result.score == 100


@pytest.mark.parametrize(
    "options",
    [{"lossy": 10}, {"quality": (10, 90)}, {"max_bytes": 1000}, {"dither": "ordered"}],
    ids=str,
)
def test_it_excludes_what_else_decides(images, options):
    with pytest.raises(ValueError, match="min_score is given, and"):
        fastkq.compress(images / "photo-sunset.png", min_score=70, **options)


@pytest.mark.parametrize("wrong", [-1, 101, float("nan")])
def test_scores_are_from_0_to_100(images, wrong):
    with pytest.raises(ValueError, match="min_score"):
        fastkq.quantize(images / "photo-sunset.png", min_score=wrong)


def test_large_images_are_refused_before_any_work():
    image = np.broadcast_to(np.zeros(3, np.uint8), (9000, 9000, 3))
    with pytest.raises(ValueError, match="min_score"):
        fastkq.compress(image, min_score=70)


def test_the_command(images, tmp_path):
    from fastkq.cli import main

    target = tmp_path / "small.png"
    path = images / "photo-sunset.png"
    arguments = ["compress", str(path), "--color-space", "oklab", "-o", str(target)]
    assert main([*arguments, "--min-score", "75"]) == 0
    assert fastkq.ssimulacra2(path, target) >= 75
    lossy = tmp_path / "lossy.png"
    assert main([*arguments[:-1], str(lossy), "--lossy", "40"]) == 0
    assert lossy.read_bytes() == fastkq.compress(path, color_space="oklab", lossy=40)


def test_bytes_are_kept_and_used_well(images):
    """Better than with as many colors as fit, and near to what is allowed."""
    path = images / "kodim03.png"
    most = 60_000
    data = fastkq.compress(path, max_bytes=most)
    fewer = fastkq.compress(path, max_bytes=most, dither="adaptive")
    assert 0.85 * most < len(data) <= most
    assert len(fewer) <= most
    score, other = (fastkq.ssimulacra2(path, file) for file in (data, fewer))
    assert score > other + 5


def test_few_bytes_take_colors_as_well(images):
    """Where not even the most lossy file of all colors fits."""
    path = images / "photo-sunset.png"
    smallest = fastkq.compress(path, lossy=MOST)
    data = fastkq.compress(path, max_bytes=len(smallest) // 2)
    assert len(data) <= len(smallest) // 2
    with pytest.raises(fastkq.TargetNotReachedError, match="max_bytes 60 is exceeded"):
        fastkq.compress(path, max_bytes=60)


def test_a_goal_chooses_the_colors_and_bytes_how_lossy(images):
    path = images / "photo-sunset.png"
    most = 30_000
    with Image.open(io.BytesIO(fastkq.compress(path, min_psnr=30, max_bytes=most))) as image:
        n_colors = len(image.getcolors())
    n_wanted = len(fastkq.quantize(path, color_space="oklab", masking=True, min_psnr=30).palette)
    assert n_wanted - 2 <= n_colors <= n_wanted
