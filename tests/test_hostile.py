"""A small part of `scripts/hostile_files.py`, in this process; and palettes of any bytes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastkq.files.palettes import SUFFIXES, read_palette

ROOT = Path(__file__).parents[1]
GOOD = {"same", "as decoded", "refused"}
# Each what is done, at which share of the file, with which bytes.
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=40),
    ),
    min_size=1,
    max_size=5,
)
STARTS = (b"", b"GIMP Palette\n", b"[", b'{"colors": [', b"ff00ff\n")


@pytest.fixture(scope="module")
def hostile():
    path = ROOT / "scripts" / "hostile_files.py"
    if not path.exists():
        pytest.skip("the scripts are not here: an installed package is tested")
    spec = importlib.util.spec_from_file_location("hostile_files", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(hostile):
    with Image.open(ROOT / "tests" / "images" / "kodim03.png") as image:
        return hostile.make_pictures(image.convert("RGB").crop((200, 150, 264, 214)))


def test_files_that_are_cut_off(hostile, files):
    cases = list(hostile.cut_files(files))[::6]
    outcomes = {name: hostile.judge(data, whole) for name, data, whole in cases}
    assert {name: found for name, found in outcomes.items() if found[0] not in GOOD} == {}
    assert sum(found[0] == "refused" for found in outcomes.values()) > len(cases) * 0.9


def test_files_with_flipped_bits(hostile, files):
    outcomes = [hostile.judge(data, whole) for _, data, whole in hostile.flip_bits(files, 240, 1)]
    assert [found for found in outcomes if found[0] not in GOOD] == []
    assert {found[0] for found in outcomes} >= {"as decoded", "refused"}


@pytest.fixture(scope="module")
def films(hostile):
    with Image.open(ROOT / "tests" / "images" / "kodim03.png") as image:
        return hostile.make_films(image.convert("RGB"))


def test_animations_that_are_cut_off_are_refused(hostile, films):
    for name, data, whole in list(hostile.cut_files(films))[::5]:
        assert (name, hostile.judge_film(data, whole)[0]) == (name, "refused")


def test_animations_with_flipped_bits(hostile, films):
    outcomes = [
        (name, *hostile.judge_film(data, whole))
        for name, data, whole in hostile.flip_bits(films, 180, 1)
    ]
    assert [found for found in outcomes if found[1] not in GOOD] == []
    assert {found[1] for found in outcomes} >= {"as decoded", "refused"}


@pytest.mark.parametrize("fault", ["loop", "durations", "frames", "pixels"])
def test_the_judge_sees_what_is_wrong_of_an_animation(hostile, films, monkeypatch, fault):
    data = films["gif of fastkq"]
    assert hostile.judge_film(data, data) == ("same", "")
    good, calls = hostile.open_animation, []

    def first_is_other(read):
        film = good(read)
        calls.append(read)
        if len(calls) > 1:
            return film
        frames = np.array(list(film))
        frames[1, 5, 5, :3] ^= fault == "pixels"
        n_frames = len(film) - (fault == "frames")
        durations = [ms + 10 * (fault == "durations") for ms in film.durations[:n_frames]]
        return hostile.fastkq.Animation(frames[:n_frames], durations, film.loop + (fault == "loop"))

    monkeypatch.setattr(hostile, "open_animation", first_is_other)
    outcome = hostile.judge_film(data, data)
    # A file may tell any times and loop: they are no longer the same, and that is all there is.
    assert outcome[0] == ("as decoded" if fault in ("loop", "durations") else "wrong")


def test_the_judge_sees_what_is_wrong(hostile, files, monkeypatch):
    good = hostile.read_image

    def darker(data):
        return hostile.fastkq.files.decode.InputImage(good(data).array // 2)

    monkeypatch.setattr(hostile, "read_image", darker)
    assert hostile.judge(files["png"], None) == ("wrong", "other pixels")
    monkeypatch.setattr(hostile, "read_image", {}.__getitem__)
    assert hostile.judge(files["png"], None)[0] == "other error"


def test_the_corpora(hostile, shared_photos):
    for folder in ("pngsuite", "broken"):
        paths = [path for path in (shared_photos / folder).iterdir() if path.is_file()]
        assert len(paths) > 50
        outcomes = {path.name: hostile.judge(path.read_bytes(), None) for path in paths}
        assert {name: found for name, found in outcomes.items() if found[0] not in GOOD} == {}


def test_files_with_any_edits_are_read_or_refused(hostile, files, films):
    """What Hypothesis finds is a correct picture, or one typed error of one line."""

    @settings(max_examples=150)
    @given(st.sampled_from(sorted(files | films)), EDITS)
    def check(name, edits):
        whole = data = (files | films)[name]
        for kind, place, content in edits:
            # A frame that is taken out of an animation whole leaves another one, and no fault.
            if name in files or kind != "delete":
                data = edit(data, kind, int(place * len(data)), content)
        outcome = (hostile.judge if name in files else hostile.judge_film)(data, whole)
        assert outcome[0] in GOOD, outcome

    check()


def edit(data, kind, place, content):
    """Put bytes into a file, over others or between them, or take as many away."""
    after = place if kind == "insert" else place + len(content)
    return data[:place] + (b"" if kind == "delete" else content) + data[after:]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_palette_of_any_bytes_is_a_palette_or_one_line(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("palettes") / f"a{suffix}"

    @given(st.sampled_from(STARTS), st.binary(max_size=800))
    def check(start, rest):
        path.write_bytes(start + rest)
        words, palette = "", np.zeros((1, 3), np.uint8)
        try:
            palette = read_palette(path)
        except ValueError as error:
            words = str(error)
        assert not words or (words.startswith(str(path)) and "\n" not in words)
        assert palette.dtype == np.uint8
        assert 1 <= len(palette) <= 256
        assert palette.shape[1] in (3, 4)

    check()
