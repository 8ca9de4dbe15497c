"""A quality, an error or a size instead of a number of colors."""

import json
import math
import pickle

import numpy as np
import pytest
from painting import PLAIN, PLAIN_FLAGS
from PIL import Image

import fastkq
from fastkq.cli import main
from fastkq.colors.metrics import mse_from_psnr, psnr_from_mse
from fastkq.engine.search import (
    Target,
    TargetNotReachedError,
    check_target,
    choose_n_colors,
    last_before,
    mse_to_quality,
    quality_to_mse,
)
from fastkq.files.png import encode_indexed_png


@pytest.fixture
def photo(images):
    with Image.open(images / "kodim03.png") as image:
        return np.asarray(image)[::3, ::3].copy()


def sized(result):
    """The bytes of a result's file."""
    return len(encode_indexed_png(result.labels, result.palette))


@pytest.mark.parametrize("exponent", [-0.8, 0.5])
@pytest.mark.parametrize("most", [1, 2, 7, 256])
def test_the_last_before_a_crossing_is_found_for_any_monotone_curve(exponent, most):
    rng = np.random.default_rng(most)
    for _ in range(100):
        steps = np.cumsum(rng.integers(0, 4, most))
        curve = steps if exponent > 0 else steps[::-1]
        bound = float(rng.choice([*curve, 0.5, 10000, 0]))
        found = last_before(
            lambda k, curve=curve: float(curve[k - 1]), bound, most, first=64, exponent=exponent
        )
        crossed = curve > bound if exponent > 0 else curve <= bound
        assert found == (most if not crossed.any() else int(np.argmax(crossed)))


def test_trials_are_few_on_a_power_curve():
    tried = []

    def mse(n_colors):
        tried.append(n_colors)
        return 3000 / n_colors**0.9

    target = Target("max_mse", floor=50, goal=50)
    chosen = choose_n_colors(target, 256, mse, lambda n_colors: n_colors)
    assert mse(chosen) <= 50 < mse(chosen - 1)
    assert len(set(tried)) <= 6


def test_the_number_goes_by_the_goal_the_size_and_the_floor():
    def choose(**target):
        return choose_n_colors(Target("t", **target), 200, lambda k: 1000 / k, lambda k: 50 + k)

    assert choose(goal=10, floor=10) == 100
    assert choose(goal=1, floor=10) == 200  # not reached, but good enough
    assert choose(goal=10, floor=20, max_bytes=110) == 60
    assert choose(max_bytes=110) == 60
    assert choose(max_bytes=10**6) == 200
    with pytest.raises(TargetNotReachedError, match="200 colors have MSE 5") as caught:
        choose(goal=1, floor=4)
    assert (caught.value.n_colors, caught.value.mse, caught.value.n_bytes) == (200, 5.0, None)
    with pytest.raises(TargetNotReachedError, match=r"49 colors have MSE 20.4.* in 99 bytes"):
        choose(goal=10, floor=20, max_bytes=99)
    with pytest.raises(TargetNotReachedError, match=r"of 1 color has 51 bytes, with MSE 1000"):
        choose(max_bytes=50)


def test_the_error_survives_a_pipe():
    error = TargetNotReachedError("no", 3, 12.5, 99)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert (str(copy), copy.n_colors, copy.mse, copy.n_bytes) == ("no", 3, 12.5, 99)
    assert copy.psnr == psnr_from_mse(12.5)


def test_psnr_and_mse_agree_to_the_last_bit():
    for psnr in (0.0, 12.3, 30.0, 41.7, 200.0):
        mse = mse_from_psnr(psnr)
        assert psnr_from_mse(mse) >= psnr > psnr_from_mse(math.nextafter(mse, math.inf))


def test_qualities_are_a_falling_scale():
    errors = [quality_to_mse(quality) for quality in range(101)]
    assert errors == sorted(errors, reverse=True)
    assert (errors[0], errors[100]) == (math.inf, 0)
    assert [mse_to_quality(error) for error in errors] == list(range(101))


@pytest.mark.parametrize("options", [{}, {"color_space": "oklab"}, {"locked": [[1, 2, 3]]}])
@pytest.mark.parametrize("name", ["max_mse", "min_psnr", "quality"])
def test_the_fewest_colors_that_reach_it(photo, name, options):
    value = {"max_mse": 150.0, "min_psnr": 31.5, "quality": (0, 60)}[name]
    bound = {"max_mse": 150.0, "min_psnr": mse_from_psnr(31.5), "quality": quality_to_mse(60)}[name]
    result = fastkq.quantize(photo, **{name: value}, **options)
    n_colors = len(result.palette)
    assert result.mse <= bound < fastkq.quantize(photo, n_colors - 1, **options).mse
    same = fastkq.quantize(photo, n_colors, **options)
    assert np.array_equal(result.palette, same.palette)
    assert np.array_equal(result.labels, same.labels)


def test_the_target_is_of_the_palette_and_dithering_comes_after(photo):
    plain = fastkq.quantize(photo, max_mse=150)
    dithered = fastkq.quantize(photo, max_mse=150, dither="diffusion")
    assert np.array_equal(dithered.palette, plain.palette)
    assert dithered.mse > 150 >= plain.mse


def test_a_quality_between_its_ends(photo):
    best = fastkq.quantize(photo, 24)
    reached = mse_to_quality(best.mse)
    result = fastkq.quantize(photo, 24, quality=(reached - 5, 100))
    assert np.array_equal(result.labels, best.labels)
    with pytest.raises(TargetNotReachedError, match=f"24 colors have .* quality {reached};"):
        fastkq.quantize(photo, 24, quality=(reached + 1, 100))


def test_few_colors_and_lossless_targets():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    result = fastkq.quantize(image, max_mse=0)
    assert (len(result.palette), result.mse) == (12, 0)
    assert len(fastkq.quantize(image, quality=(100, 100)).palette) == 12
    with pytest.raises(TargetNotReachedError, match="11 colors"):
        fastkq.quantize(image, 11, max_mse=0)


def test_images_with_transparency():
    rows, columns = np.mgrid[:40, :40].astype(np.uint8)
    image = np.stack([rows * 6, columns * 6, rows, 6 * np.minimum(rows, columns)], axis=2)
    result = fastkq.quantize(image, max_mse=200)
    n_colors = len(result.palette)
    assert result.palette.shape[1] == 4
    assert result.mse <= 200 < fastkq.quantize(image, n_colors - 1).mse


@pytest.mark.parametrize("options", [{}, {"dither": "adaptive"}])
def test_as_many_colors_as_the_bytes_have_room_for(photo, tmp_path, options):
    limit = sized(fastkq.quantize(photo, 40, **options)) + 10
    report = fastkq.compress(photo, tmp_path / "out.png", max_bytes=limit, **PLAIN | options)
    n_colors = report.n_colors
    assert report.target_bytes == (tmp_path / "out.png").stat().st_size <= limit
    assert sized(fastkq.quantize(photo, n_colors + 1, **options)) > limit
    assert (tmp_path / "out.png").stat().st_size == sized(
        fastkq.quantize(photo, n_colors, **options)
    )


def test_nothing_is_written_where_a_target_is_out_of_reach(photo, tmp_path):
    for options in ({"max_bytes": 60}, {"max_mse": 1.0}, {"max_bytes": 3000, "min_psnr": 40}):
        with pytest.raises(TargetNotReachedError, match=r" is (not reached|exceeded): "):
            fastkq.compress(photo, tmp_path / "out.png", **options)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"max_mse": 90}, {"max_bytes": 9000}])
def test_by_blocks_as_in_memory(photo, tmp_path, monkeypatch, options):
    whole = fastkq.compress(photo, tmp_path / "whole.png", **options)
    monkeypatch.setattr("fastkq.files.rows.LARGE_PIXELS", 1000)
    blocks = fastkq.compress(photo, tmp_path / "blocks.png", **options)
    if "max_mse" in options:  # files by blocks have a few bytes more
        assert blocks.n_colors == whole.n_colors
        with (
            Image.open(tmp_path / "whole.png") as one,
            Image.open(tmp_path / "blocks.png") as other,
        ):
            assert np.array_equal(np.asarray(one.convert("RGB")), np.asarray(other.convert("RGB")))
    else:
        assert (tmp_path / "blocks.png").stat().st_size == blocks.target_bytes <= 9000


def test_many_images_each_with_its_number(images, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.bmp")
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.bmp")
    report = tmp_path / "run.jsonl"
    run = {"jobs": 1, "max_mse": 150, "report": report} | PLAIN
    results = list(fastkq.compress_many([tmp_path / "*.bmp"], tmp_path / "out", 256, **run))
    by_status = {result.status: result for result in results}
    assert set(by_status) == {"done", "target not reached"}
    assert by_status["done"].n_colors == len(fastkq.quantize(photo, max_mse=150).palette)
    missed = by_status["target not reached"]
    assert (missed.n_colors, missed.target_bytes) == (256, None)
    assert "max_mse 150 is not reached" in missed.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.png"]
    again = list(fastkq.compress_many([tmp_path / "*.bmp"], tmp_path / "out", 256, **run))
    assert {result.status for result in again} == {"skipped: exists", "target not reached"}
    assert all(result.seconds == 0 for result in again)


def test_the_command(photo, tmp_path, capsys):
    source, target = tmp_path / "photo.png", tmp_path / "out.png"
    Image.fromarray(photo).save(source)
    arguments = ["compress", str(source), "-o", str(target), *PLAIN_FLAGS]
    assert main([*arguments, "--quality", "10-60", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n_colors"] == len(fastkq.quantize(photo, quality=(10, 60)).palette)
    target.unlink()
    assert main([*arguments, "--min-psnr", "60"]) == 99
    assert "fastkq: min_psnr 60 is not reached: 256 colors" in capsys.readouterr().err
    assert not target.exists()
    assert main([*arguments, "--max-bytes", "5000"]) == 0
    assert target.stat().st_size <= 5000
    for wrong in ("80-60", "-", "1-101", "good"):
        with pytest.raises(SystemExit):
            main([*arguments, f"--quality={wrong}"])
        assert (
            "is not two ascending numbers from 0 to 100, such as 65-80" in capsys.readouterr().err
        )
    with pytest.raises(SystemExit):
        main([*arguments, "--palette", "x.gpl", "--max-bytes", "9"])
    assert "--max-bytes and --palette exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quality": 80}, TypeError, r"quality is 80; \(min, max\) with 0 <= min <= max <= 100"),
        ({"quality": (1, 2, 3)}, ValueError, r"quality is \(1, 2, 3\)"),
        ({"quality": (80, 60)}, ValueError, r"quality is \(80, 60\)"),
        ({"quality": (0, 101)}, ValueError, "an end of quality is 101; a number from 0 to 100"),
        ({"max_mse": -1}, ValueError, "max_mse is -1; a number >= 0"),
        ({"min_psnr": math.inf}, ValueError, "min_psnr is inf; a number from 0 to 200"),
        ({"max_bytes": 0}, ValueError, "max_bytes is 0; an integer >= 1"),
        ({"max_mse": 3, "min_psnr": 40}, ValueError, "max_mse=3, min_psnr=40 are bounds of the"),
    ],
)
def test_wrong_targets(options, error, message):
    with pytest.raises(error, match=message):
        check_target(**options)


def test_a_target_and_given_centers_exclude_each_other():
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="init is an array of 2 centers; with max_mse 3"):
        fastkq.quantize(image, 2, init=np.zeros((2, 3)), max_mse=3)
    with pytest.raises(ValueError, match="palette is given, and max_mse 3; only palettes that"):
        fastkq.compress(image, "out.png", palette=[[0, 0, 0]], max_mse=3)


def test_what_is_missed_is_told_in_its_own_words(images):
    photo = images / "photo-sunset.png"
    with pytest.raises(
        TargetNotReachedError, match=r"max_bytes 100 is exceeded: the file of 1 col"
    ):
        fastkq.compress(photo, max_bytes=100)
    locked = [[i, 2 * i, 3 * i] for i in range(40)]
    message = r"max_bytes 100 is exceeded: the file of 40 colors has \d+ bytes"
    with pytest.raises(TargetNotReachedError, match=message):
        fastkq.compress(photo, max_bytes=100, locked=locked)
    with pytest.raises(
        TargetNotReachedError, match=r"max_mse 1 is not reached: 40 colors have MSE"
    ):
        fastkq.quantize(photo, 40, max_mse=1, locked=locked)
