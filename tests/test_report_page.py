"""Pages for browsers: what they tell, that they need nothing else, and that they work in one."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms

import fastkq
from fastkq.batch.job import JobResult
from fastkq.cli import main
from fastkq.colors.histogram import histogram_of_array
from fastkq.engine.cells import ColorCells
from fastkq.engine.model import FitOptions
from fastkq.engine.opaque import find_centers, seed_centers
from fastkq.report import batch as batch_module
from fastkq.report import report_batch, report_image
from fastkq.report.measure import STAGES
from fastkq.report.page import as_share, read_plotly
from fastkq.report.pictures import cube_means, find_difference, find_worst, make_views
from fastkq.report.trace import trace_inertia

EVIL = '<script>window.hit=1<_script>&amp;"\'<img src=x onerror="window.hit=1">.png'
DEFAULT_LOSSY = 20.0
# What a page may begin an address with.
OWN_ADDRESSES = ("data:", "#")


class Page(HTMLParser):
    """The elements of a page, with their attributes and their text."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.text = path.read_text(encoding="utf-8")
        self.elements, self._is_open = [], False
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(SimpleNamespace(tag=tag, attributes=dict(attributes), text=""))
        self._is_open = True

    def handle_endtag(self, tag):
        self._is_open = False

    def handle_data(self, data):
        if self._is_open:
            self.elements[-1].text += data

    def all(self, tag):
        return [element for element in self.elements if element.tag == tag]

    def by_id(self, name):
        (found,) = [each for each in self.elements if each.attributes.get("id") == name]
        return found

    @property
    def data(self):
        return json.loads(self.by_id("data").text)


def random_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def decode(address):
    head, _, data = address.partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small photo that has an evil name, its page, and the page of a batch."""
    folder = tmp_path_factory.mktemp("pages")
    photo = folder / "in" / EVIL
    photo.parent.mkdir()
    images = os.path.join(os.path.dirname(__file__), "images")
    with Image.open(os.path.join(images, "kodim03.png")) as image:
        image.crop((300, 100, 500, 250)).save(photo, compress_level=0)
        image.crop((0, 0, 60, 90)).save(folder / "in" / "other.jpg")
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shutil.copy(photo, folder / "in" / "small.png")
    findings = report_image(photo, folder / "image.html")
    results = report_batch(
        fastkq.compress_many(folder / "in", folder / "out", jobs=1, score=True),
        folder / "batch.html",
    )
    return SimpleNamespace(folder=folder, photo=photo, findings=findings, results=results)


@pytest.fixture
def image_page(place):
    return Page(place.folder / "image.html")


@pytest.fixture
def batch_page(place):
    return Page(place.folder / "batch.html")


# What a page tells.


def test_its_numbers_are_those_of_the_file(place, image_page):
    data = fastkq.compress(place.photo)
    told = {name: image_page.by_id(name) for name in ("before", "after", "score", "psnr")}
    assert int(told["before"].attributes["data-value"]) == place.photo.stat().st_size
    assert int(told["after"].attributes["data-value"]) == len(data)
    score = fastkq.ssimulacra2(place.photo, data)
    assert float(told["score"].attributes["data-value"]) == pytest.approx(score, abs=1e-9)
    error = np.asarray(Image.open(place.photo), int) - Image.open(io.BytesIO(data)).convert("RGB")
    psnr = 10 * np.log10(255**2 / np.mean(np.square(error)))
    assert float(told["psnr"].attributes["data-value"]) == pytest.approx(psnr)
    assert told["score"].text == f"{score:.1f}"
    assert image_page.by_id("colors").text == "256"
    n_iter = place.findings.result.n_iter
    assert image_page.by_id("iterations").text == str(n_iter)
    assert image_page.data["trace"]["iterations"] == list(range(n_iter + 1))


def test_its_curves_are_those_of_other_files(place, image_page):
    by_colors, by_lossy = image_page.data["byColors"], image_page.data["byLossy"]
    assert [trial["n_colors"] for trial in by_colors] == [2, 4, 8, 16, 32, 64, 128, 256]
    assert [trial["lossy"] for trial in by_lossy] == [0, 10, 20, 40, 60, 80, 120, 200]
    for trial in (by_colors[1], by_colors[5], by_lossy[0], by_lossy[-1]):
        data = fastkq.compress(place.photo, n_colors=trial["n_colors"], lossy=trial["lossy"])
        assert trial["n_bytes"] == len(data)
        assert trial["score"] == pytest.approx(fastkq.ssimulacra2(place.photo, data), abs=1e-9)
    assert image_page.data["chosen"] == by_colors[-1] == by_lossy[2]
    for trial in by_colors + by_lossy:  # all numbers are in a table as well
        assert f"<td>{trial['n_bytes']:,}</td><td>{trial['score']:.2f}</td>" in image_page.text


def test_its_palette_is_that_of_the_file(place, image_page):
    image = Image.open(io.BytesIO(fastkq.compress(place.photo))).convert("RGB")
    counts = {color: n for n, color in image.getcolors(256)}
    told = {}
    for code in image_page.all("code"):
        told[code.text.strip()] = None
    assert set(told) == {"#%02x%02x%02x" % color for color in counts}  # noqa: UP031
    centers = image_page.data["centers"]
    total = image.width * image.height
    for color, share in zip(centers["colors"], centers["shares"], strict=True):
        assert share == pytest.approx(counts[tuple(color)] / total, abs=1e-6)


def test_its_times_are_those_of_all_stages(place, image_page):
    assert list(place.findings.seconds) == list(STAGES)
    assert min(place.findings.seconds.values()) > 0
    table = image_page.text.partition('id="times"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">(\w+)</th>', table) == [*STAGES, "together"]


@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_the_trace_is_that_of_k_means(images, space):
    """The first and the last inertia, by NumPy; and none that rises between."""
    with Image.open(images / "kodim03.png") as image:
        histogram = histogram_of_array(np.asarray(image.crop((0, 0, 150, 101))))
    options = FitOptions(n_colors=8, color_space=space, effort="best")
    trace = trace_inertia(histogram, options)
    cells = ColorCells(histogram, space)
    centers, n_iter = find_centers(cells, replace(options, effort="balanced"))

    def inertia(centers):
        ways = cells.points.T[:, None].astype(float) - centers[None]
        return cells.weights @ np.square(ways).sum(axis=2).min(axis=1)

    first = inertia(seed_centers(cells, 8, "wu", 0))
    assert trace.iterations == list(range(n_iter + 1))
    assert trace.space == space
    assert trace.inertia[0] == 1
    assert trace.inertia[-1] == pytest.approx(inertia(centers) / first, rel=1e-6)
    assert (np.diff(trace.inertia) <= 0).all()


def test_the_trace_of_colors_with_alpha_is_that_of_runs():
    image = random_image((40, 31, 4))
    trace = trace_inertia(fastkq.color_histogram(image), FitOptions(n_colors=6))
    runs = [fastkq.quantize(image, 6, max_iter=n_iter) for n_iter in trace.iterations]
    assert [run.n_iter for run in runs] == trace.iterations
    inertia = [run.inertia / runs[0].inertia for run in runs]
    assert trace.inertia == pytest.approx(inertia, rel=1e-6)
    assert trace.inertia[-1] < 1


@pytest.mark.parametrize("n_colors", [16, 17])
def test_where_nothing_is_iterated_there_is_no_trace(n_colors):
    image = np.repeat(np.arange(16, dtype=np.uint8)[:, None] * 9, 20, axis=1)
    assert trace_inertia(fastkq.color_histogram(image), FitOptions(n_colors=n_colors)) is None


def test_a_picture_of_few_colors_is_told_to_be_lossless(tmp_path):
    image = np.repeat(np.arange(16, dtype=np.uint8)[:, None] * 9, 20, axis=1)
    findings = report_image(image, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert page.by_id("psnr").text == "lossless"
    assert "There was nothing to iterate" in page.text
    assert [trial.n_colors for trial in findings.by_colors] == [2, 4, 8, 16]
    assert findings.chosen.score == 100


def test_choices_that_leave_no_other(tmp_path):
    image = random_image((24, 24, 3))
    ordered = report_image(image, tmp_path / "page.html", 8, dither="ordered")
    assert ordered.by_lossy == []
    assert 'id="by-lossy"' not in (tmp_path / "page.html").read_text()
    given = report_image(image, tmp_path / "page.html", palette=[[0, 0, 0], [255, 255, 255]])
    assert given.by_colors == []
    assert given.trace is None
    assert 'id="by-colors"' not in (tmp_path / "page.html").read_text()


def test_a_palette_of_a_target_is_among_the_curve(tmp_path):
    findings = report_image(random_image((24, 24, 3)), tmp_path / "page.html", max_mse=2000)
    n_colors = len(fastkq.quantize(random_image((24, 24, 3)), max_mse=2000).palette)
    assert findings.chosen in findings.by_colors
    assert findings.chosen.n_colors == len(findings.result.palette)
    assert 2 < n_colors < 256
    assert findings.trace.iterations[-1] == findings.result.n_iter


@pytest.mark.parametrize("name", ["max_bytes", "min_score"])
def test_what_would_be_searched_for_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is given; a report shows"):
        report_image(random_image((24, 24, 3)), tmp_path / "page.html", **{name: 50})
    assert os.listdir(tmp_path) == []


def test_a_file_object_is_read_once(place, tmp_path):
    findings = report_image(io.BytesIO(place.photo.read_bytes()), tmp_path / "page.html")
    assert findings.chosen == place.findings.chosen


# Pictures of a page.


@pytest.mark.parametrize("shape", [(31, 40, 3), (31, 40, 4), (31, 40), (31, 40, 2)])
def test_a_small_picture_is_shown_pixel_by_pixel(shape):
    original, result = random_image(shape), random_image(shape, 1)
    if shape[2:] in ((2,), (4,)):
        original[..., -1] |= 128
        result[..., -1] |= 128
    (view,) = make_views(original, result, None)
    for address, image in ((view.original, original), (view.result, result)):
        shown = decode(address)
        gray = image if image.ndim == 2 else image[..., : 1 if image.shape[2] == 2 else 3]
        np.testing.assert_array_equal(
            shown[..., :3], np.broadcast_to(gray.reshape(31, 40, -1), (31, 40, 3))
        )
        if image.ndim == 3 and image.shape[2] in (2, 4):
            np.testing.assert_array_equal(shown[..., 3], image[..., -1])
    difference = find_difference(original, result).astype(int)
    np.testing.assert_array_equal(decode(view.difference)[..., 0], np.minimum(8 * difference, 255))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_differences_by_pixel(channels):
    one, other = random_image((7, 5, channels)), random_image((7, 5, channels), 1)
    expected = np.zeros((7, 5))
    for place in np.ndindex(7, 5):
        a, b = one[place].astype(float), other[place].astype(float)
        if channels in (1, 3):
            expected[place] = np.abs(a - b).max()
        else:
            looks = []
            for background in (0, 255):
                over = [x[:-1] * x[-1] / 255 + background * (1 - x[-1] / 255) for x in (a, b)]
                looks.append(np.abs(over[0] - over[1]).max())
            expected[place] = max(looks)
    arrays = [image[..., 0] if channels == 1 else image for image in (one, other)]
    assert np.abs(find_difference(*arrays) - expected).max() <= 0.51


def test_gray_differs_from_colors():
    gray = np.array([[100, 50]], np.uint8)
    colors = np.array([[[100, 90, 100], [50, 50, 57]]], np.uint8)
    assert find_difference(gray, colors).tolist() == [[10, 7]]


@pytest.mark.parametrize("shape", [(97, 130), (16, 130), (97, 20), (10, 9)])
def test_the_part_is_where_most_differs(shape):
    difference = random_image(shape) // 8
    difference[shape[0] * 2 // 3 :, shape[1] // 2 :] = 250
    size = (24, 32)
    top, left = find_worst(difference, size)
    rows, columns = (min(size[i], shape[i]) for i in range(2))
    assert 0 <= top <= shape[0] - rows
    assert 0 <= left <= shape[1] - columns
    squares = difference.astype(int) ** 2
    sums = {
        (y, x): squares[y : y + rows, x : x + columns].sum()
        for y in range(0, shape[0] - rows + 1, 8)
        for x in range(0, shape[1] - columns + 1, 8)
    }
    assert squares[top : top + rows, left : left + columns].sum() >= max(sums.values())


def test_a_large_picture_is_shown_smaller_and_in_part():
    original = random_image((1100, 1300, 3)) // 2 + 60
    result = original.copy()
    result[700:900, 900:1100] += 40
    whole, part = make_views(original, result, None)
    assert (whole.width, whole.height, whole.is_reduced) == (1280, 1083, True)
    assert (part.width, part.height, part.is_reduced) == (800, 600, False)
    assert part.top <= 700
    assert part.top + part.height >= 900
    assert part.left <= 900
    assert part.left + part.width >= 1100
    place = np.s_[part.top : part.top + 600, part.left : part.left + 800]
    np.testing.assert_array_equal(decode(part.original), original[place])
    np.testing.assert_array_equal(decode(part.result), result[place])
    assert decode(whole.result).shape == (1083, 1280, 3)


@pytest.mark.parametrize("shape", [(768, 1024, 3), (576, 1024, 4), (2500, 1700, 3)])
def test_a_page_of_noise_has_less_than_ten_megabytes(shape):
    labels, palette = random_image(shape[:2], 1), random_image((256, shape[2]), 2)
    views = make_views(random_image(shape), palette[labels], None)
    assert len(views) == (2 if shape[0] == 2500 else 1)
    n_bytes = sum(len(view.original + view.result + view.difference) for view in views)
    assert n_bytes + len(read_plotly()) < 10e6


def test_a_picture_with_a_profile_is_shown_in_srgb():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = random_image((20, 20, 3))
    (view,) = make_views(image, image, profile)
    np.testing.assert_array_equal(decode(view.original), image)


def test_a_wide_profile_makes_colors_stronger(shared_photos):
    with Image.open(shared_photos / "large" / "bus-12mp-display-p3.jpg") as image:
        profile = image.info["icc_profile"]
        part = np.asarray(image.crop((1500, 1500, 1600, 1580)))
        converted = ImageCms.profileToProfile(
            image.crop((1500, 1500, 1600, 1580)),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
        )
    (view,) = make_views(part, part, profile)
    assert np.abs(decode(view.original).astype(int) - np.asarray(converted)).max() <= 2
    assert np.abs(part.astype(int) - np.asarray(converted)).max() > 5


def test_means_of_cubes():
    image = random_image((50, 61, 3)) // 5
    colors, counts = cube_means(fastkq.color_histogram(image))
    pixels = image.reshape(-1, 3)
    members = {}
    for pixel in pixels.tolist():
        members.setdefault(tuple(level // 16 for level in pixel), []).append(pixel)
    expected = {
        tuple(np.rint(np.mean(found, axis=0)).astype(int).tolist()): len(found)
        for found in members.values()
    }
    assert dict(zip(map(tuple, colors.tolist()), counts.tolist(), strict=True)) == expected
    assert counts.sum() == len(pixels)


def test_a_transparent_picture_has_no_cubes(tmp_path):
    image = random_image((20, 20, 4))
    image[..., 3] = image[..., 3] // 2
    report_image(image, tmp_path / "page.html", 8)
    assert Page(tmp_path / "page.html").data["cubes"] == {"colors": [], "pixels": []}


# A page is one file, and what it is filled with is text.


@pytest.mark.parametrize("name", ["image_page", "batch_page"])
def test_a_page_loads_nothing(request, name):
    page = request.getfixturevalue(name)
    for element in page.elements:
        assert element.tag not in {"iframe", "object", "embed", "base", "form", "a", "audio"}
        for attribute in ("src", "href", "srcset", "data", "action", "poster", "background"):
            address = element.attributes.get(attribute)
            assert address is None or address.startswith(OWN_ADDRESSES), address[:80]
        assert not any(attribute.startswith("on") for attribute in element.attributes)
        style = element.text if element.tag == "style" else element.attributes.get("style", "")
        assert "url(" not in style
        assert "@import" not in style
    assert not any("import(" in part.text for part in page.all("script")[-1:])


@pytest.mark.parametrize("name", ["image_page", "batch_page"])
def test_only_its_own_scripts_may_run(request, name):
    page = request.getfixturevalue(name)
    (policy,) = [
        element.attributes["content"]
        for element in page.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert "connect-src" not in rules  # nothing but the default
    scripts = [part for part in page.all("script") if "type" not in part.attributes]
    hashes = [base64.b64encode(hashlib.sha256(part.text.encode()).digest()) for part in scripts]
    assert rules["script-src"] == " ".join(f"'sha256-{each.decode()}'" for each in hashes)
    assert len(scripts) == (2 if name == "image_page" else 1)


def test_names_are_text(place, image_page, batch_page):
    assert [element.text.strip() for element in image_page.all("h1")] == [EVIL]
    assert EVIL in [element.text for element in batch_page.all("span")]
    alts = [element.attributes["alt"] for element in batch_page.all("img")]
    assert f"{place.photo}, small" in alts
    for page in (image_page, batch_page):
        assert "<script>window" not in page.text
        assert "<img src=x" not in page.text


def test_every_picture_has_a_text(image_page, batch_page):
    for page in (image_page, batch_page):
        assert page.all("img")
        for element in page.all("img"):
            assert element.attributes["alt"]
    for element in image_page.elements:
        if element.attributes.get("role") == "img":
            assert element.attributes["aria-label"]


def test_errors_and_control_characters_are_text(tmp_path):
    results = [
        JobResult("a\nb\x1b[2J.png", "<b>.png", "failed", error="<i>no</i>"),
        JobResult("surrogate\udcff.png", "x.png", "no gain", source_bytes=10, target_bytes=20),
    ]
    report_batch(results, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    texts = [element.text for element in page.all("span")]
    assert r"a\nb\x1b[2J.png" in texts
    assert "<b>.png" in texts
    assert "<i>no</i>" in texts
    assert r"surrogate\udcff.png" in texts


# Batches.


def cells_of(page):
    """The rows of the table, as lists of what they are sorted by."""
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r'data-value="([^"]*)"', row) for row in body.split("</tr>")[:-1]]


def test_its_table_has_all_results(place, batch_page):
    rows = cells_of(batch_page)
    assert len(rows) == len(place.results) == 4
    for row, result in zip(rows, place.results, strict=True):
        assert row[1] == result.status
        if result.status == "failed":
            assert row[2:] == ["", "", "", "", "", "", str(result.seconds)]
            continue
        numbers = list(map(float, row[2:]))
        saving = 1 - result.target_bytes / result.source_bytes
        assert numbers[:3] == [result.source_bytes, result.target_bytes, saving]
        assert numbers[3:] == [result.score, result.psnr, result.n_colors, result.seconds]


def test_its_totals_are_those_of_what_is_done(place, batch_page):
    done = [result for result in place.results if result.status == "done"]
    before, after = (
        int(batch_page.by_id(name).attributes["data-value"]) for name in ("before", "after")
    )
    assert before == sum(os.path.getsize(result.source) for result in done)
    assert after == sum(os.path.getsize(result.target) for result in done)
    assert batch_page.by_id("saved").text == as_share(1 - after / before)
    assert len(done) == 2


def test_what_an_earlier_run_did_counts_where_it_is_known(place, tmp_path):
    for _ in range(2):
        results = report_batch(
            fastkq.compress_many(
                place.photo, tmp_path / "out", jobs=1, report=tmp_path / "run.jsonl"
            ),
            tmp_path / "page.html",
        )
    assert results[0].status == "skipped: exists"
    after = Page(tmp_path / "page.html").by_id("after").attributes["data-value"]
    assert int(after) == results[0].target_bytes


def test_thumbnails_are_small_pictures_of_the_sources(place, batch_page):
    found = {
        element.attributes["alt"]: element.attributes["src"] for element in batch_page.all("img")
    }
    assert len(found) == 3  # all but the broken one
    shown = decode(found[f"{place.photo}, small"])
    assert shown.shape == (72, 96, 3)
    with Image.open(place.photo) as image:
        expected = np.asarray(image.resize((96, 72), Image.Resampling.BOX), int)
    assert np.abs(shown - expected).mean() < 4
    assert decode(found[f"{place.photo.parent / 'other.jpg'}, small"]).shape == (90, 60, 3)


def test_thumbnails_have_so_many_bytes_together(place, monkeypatch):
    monkeypatch.setattr(batch_module, "TOGETHER", 2)
    paths = [str(place.photo)] * 9
    all_made = batch_module.make_thumbnails(paths)
    assert all(all_made)
    size = len(all_made[0])
    made = batch_module.make_thumbnails(paths, most_bytes=3 * size)
    assert [address is not None for address in made] == [True] * 4 + [False] * 5


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "CMYK"])
def test_thumbnails_of_every_kind(tmp_path, mode):
    array = random_image((300, 200, 4))
    suffix = "jpg" if mode == "CMYK" else "png"
    if mode == "I;16":
        image = Image.fromarray(array[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(array).convert("RGB").convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    (made,) = batch_module.make_thumbnails([str(tmp_path / f"a.{suffix}")])
    assert decode(made).shape[:2] == (96, 64)


def test_no_images_make_a_page_too(tmp_path):
    report_batch([], tmp_path / "new folder" / "page.html")
    page = Page(tmp_path / "new folder" / "page.html")
    assert page.all("h1")[0].text == "0 images"
    assert cells_of(page) == []


def test_folders_are_told_once(tmp_path):
    results = [
        JobResult("/photos/2024/a.jpg", "/out/a.png", "no gain"),
        JobResult("/photos/2025/b.jpg", "/out/b.png", "no gain"),
    ]
    report_batch(results, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    texts = [element.text.strip() for element in page.elements]
    assert "From /photos, to /out." in texts
    assert {os.path.join("2024", "a.jpg"), "a.png", os.path.join("2025", "b.jpg")} <= set(texts)
    mixed = [*results, JobResult("s3://store/c.png", "c.png", "no gain")]
    report_batch(mixed, tmp_path / "page.html")
    texts = [element.text for element in Page(tmp_path / "page.html").elements]
    assert {"/photos/2024/a.jpg", "s3://store/c.png"} <= set(texts)


# Where pages go.


def test_only_pages_of_fastkq_are_replaced(place, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(FileExistsError, match=r"page\.html"):
        report_batch(place.results, page, overwrite=False)
    assert page.read_text() == "mine"
    report_batch(place.results, page)
    assert "mine" not in page.read_text()
    report_batch(place.results[:1], page, overwrite=False)
    assert Page(page).all("h1")[0].text == "1 image"


def test_a_page_has_a_name_that_says_so(place, tmp_path):
    with pytest.raises(ValueError, match=r"a report is a \.html file"):
        report_batch(place.results, tmp_path / "page.png")
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        report_image(place.photo, tmp_path / "no" / "page.html")


def test_the_work_begins_when_the_target_is_known_to_be_fine(tmp_path):
    def results():
        raise AssertionError
        yield

    with pytest.raises(ValueError, match=r"\.html"):
        report_batch(results(), tmp_path / "page.txt")


# The command.


def test_the_command_of_one_image(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(place.photo, "photo.png")
    assert main(["report", "photo.png", "-k", "16", "--format", "webp", "--lossy", "30"]) == 0
    data = fastkq.compress("photo.png", format="webp", n_colors=16, lossy=30)
    score = fastkq.ssimulacra2("photo.png", data)
    line = capsys.readouterr().out
    assert line.startswith("photo.png -> photo-fastkq.html: 90.2 kB -> ")
    assert line.endswith(f"SSIMULACRA2 {score:.1f}, 16 colors\n")
    page = Page(tmp_path / "photo-fastkq.html")
    assert int(page.by_id("after").attributes["data-value"]) == len(data)
    assert sorted(os.listdir()) == ["photo-fastkq.html", "photo.png"]
    assert main(["report", "photo.png", "-q", "-k", "2", "--lossy", "0"]) == 0  # its own page
    assert capsys.readouterr() == ("", "")


def test_the_command_overwrites_nothing_else(place, tmp_path, capsys):
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert main(["report", str(place.photo), "-o", str(page)]) == 1
    assert "page.html" in capsys.readouterr().err
    assert page.read_text() == "mine"


def test_the_standard_input_has_no_name(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["report", "-"])
    assert "-o FILE names the page" in capsys.readouterr().err


def test_the_standard_input_is_an_image(place, tmp_path, monkeypatch):
    stdin = SimpleNamespace(buffer=io.BytesIO(place.photo.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["report", "-", "-q", "-k", "4", "-o", str(tmp_path / "page.html")]) == 0
    assert Page(tmp_path / "page.html").by_id("colors").text == "4"


def test_the_command_of_a_batch(place, tmp_path, capsys):
    target = tmp_path / "out" / "run.html"
    arguments = ["compress", str(place.folder / "in"), "-d", str(tmp_path / "out"), "-j", "1"]
    assert main([*arguments, "--html", str(target)]) == 1  # one is broken
    capsys.readouterr()
    rows = cells_of(Page(target))
    assert sorted(row[1] for row in rows) == ["done", "done", "failed", "no gain"]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--html", str(target), "--dry-run"])


@pytest.mark.parametrize("name", ["jinja2", "plotly"])
def test_a_missing_extra_is_told_in_one_line(place, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setitem(sys.modules, name, None)
    told = f'a report needs {name}; `pip install "fastkq[report]"` installs it'
    with pytest.raises(RuntimeError, match=re.escape(told)):
        report_batch([], tmp_path / "page.html")
    page = str(tmp_path / "page.html")
    for arguments in (
        ["report", str(place.photo), "-o", page],
        ["compress", str(place.photo), "-d", str(tmp_path / "out"), "--html", page],
    ):
        assert main(arguments) == 1
        assert capsys.readouterr() == ("", f"fastkq: {told}\n")
    assert os.listdir(tmp_path) == []


# In a browser.

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WAIT = 120_000  # ms; plots in three dimensions take their time without a graphics card
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (levels) => levels.slice(0, 3).reduce((sum, level, i) => {
    const c = level / 255;
    const linear = c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return sum + [0.2126, 0.7152, 0.0722][i] * linear;
  }, 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const levels = parse(getComputedStyle(at).backgroundColor);
      if (levels.length === 3 || levels[3] === 1) return levels;
    }
    throw new Error("nothing behind " + element.outerHTML);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const isSvg = element instanceof SVGTextElement;
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    if (!element.getClientRects().length || (element.closest("svg") && !isSvg)) continue;
    const style = getComputedStyle(element);
    const [one, other] = [
      light(parse(isSvg ? style.fill : style.color)),
      element.matches(".tag") ? 0.05 : light(behind(element)),
    ].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), element.textContent.trim().slice(0, 30)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("there is no Chromium")
    arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=arguments, timeout=WAIT)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, place):
    """Open a page, and see to it that it asked for nothing and told of no error."""
    contexts, told, asked = [], [], []

    def open_page(name, **options):
        context = chromium.new_context(viewport={"width": 1200, "height": 900}, **options)
        context.set_offline(True)
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: told.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((place.folder / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []
    others = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert len(others) == len(contexts)
    assert all(url.startswith("file:") and url.endswith(".html") for url in others)


def divider(page):
    """Where the divider is, from 0 to 1, and what is cut of the two pictures."""
    return page.evaluate("""() => {
      const box = (name) => document.querySelector(name).getBoundingClientRect();
      const [stack, line] = [box(".stack"), box(".divider")];
      const clips = [".original", ".result"].map(
        (name) => getComputedStyle(document.querySelector(`.stack ${name}`)).clipPath);
      return [(line.left + line.width / 2 - stack.left) / stack.width, ...clips];
    }""")


def test_the_slider_moves_the_divider(visit):
    page = visit("image.html")
    assert divider(page)[0] == pytest.approx(0.5, abs=0.01)
    slider = page.get_by_label("Original on the left")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    at, original, result = divider(page)
    assert at == pytest.approx(0.6, abs=0.01)
    assert original == "inset(0px calc(100% - 120px) 0px 0px)"  # of 200 pixels
    assert result == "inset(0px 0px 0px 120px)"
    page.keyboard.press("Home")
    assert divider(page)[0] == pytest.approx(0, abs=0.01)
    box = page.locator(".stack").first.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 40)
    page.mouse.up()
    assert divider(page)[0] == pytest.approx(0.75, abs=0.01)
    assert slider.input_value() == "75"


def test_sizes_and_the_difference(visit):
    page = visit("image.html", device_scale_factor=2)
    image, difference = page.locator(".stack .original"), page.locator(".stack .difference")
    page.get_by_role("radio", name="fit").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="100 %").is_checked()
    assert image.bounding_box()["width"] == 100  # 200 pixels of the screen
    page.get_by_role("radio", name="300 %").check()
    assert image.bounding_box()["width"] == 300
    assert not difference.is_visible()
    page.get_by_role("radio", name="difference").check()
    assert difference.is_visible()
    assert not image.is_visible()
    assert page.get_by_text("32 levels or more").is_visible()


def test_a_part_of_a_large_picture_at_full_size(visit, place):
    image = random_image((900, 1100, 3)) // 8 + 90
    report_image(image, place.folder / "large.html", 4, format="gif", lossy=0)
    page = visit("large.html")
    whole, part = page.locator(".whole .original"), page.locator(".part .original")
    assert whole.is_visible()
    assert not part.is_visible()
    assert page.get_by_text("A copy of 1100").is_visible()
    page.get_by_role("radio", name="100 %").check()
    assert part.is_visible()
    assert not whole.is_visible()
    assert part.bounding_box()["width"] == 800
    frame = page.locator(".part .scroll")
    page.get_by_role("radio", name="300 %").check()
    frame.evaluate("frame => frame.scrollTo(500, 0)")
    page.wait_for_function("() => document.querySelector('.part .divider').offsetLeft > 900")
    inside = frame.bounding_box()
    line = page.locator(".part .divider").bounding_box()
    middle = inside["x"] + inside["width"] / 2
    assert line["x"] == pytest.approx(middle, abs=12)  # a scroll bar is none of it


def test_plots_have_the_numbers(visit, place):
    page = visit("image.html")
    for name in ("cube", "trace", "rate", "by-colors", "by-lossy"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.wait_for_function("name => document.getElementById(name).data", arg=name)
    drawn = page.evaluate("""() => Object.fromEntries(
      [...document.querySelectorAll(".plot")].map((plot) => [plot.id, plot.data.map(
        (trace) => [trace.x, trace.y])]))""")
    found = place.findings
    assert drawn["by-colors"][0] == [
        [trial.n_colors for trial in found.by_colors],
        [trial.score for trial in found.by_colors],
    ]
    assert drawn["by-lossy"][2][1] == [trial.n_bytes for trial in found.by_lossy]
    assert drawn["trace"][0][0] == found.trace.iterations
    assert drawn["rate"][-1] == [[found.chosen.n_bytes], [found.chosen.score]]
    reds = found.result.palette[:, 0].tolist()
    assert sorted(drawn["cube"][1][0]) == sorted(reds)
    eye = "() => document.getElementById('cube')._fullLayout.scene.camera.eye"
    before = page.evaluate(eye)
    page.get_by_role("button", name="Turn left").focus()
    page.keyboard.press("Enter")
    after = page.evaluate(eye)
    assert after["x"] != pytest.approx(before["x"])
    assert after["z"] == pytest.approx(before["z"])


def column(page, number):
    return page.evaluate(
        "i => [...document.querySelectorAll('tbody tr')].map((row) => row.cells[i].dataset.value)",
        number,
    )


def test_the_table_is_sorted_by_mouse_and_keyboard(visit):
    page = visit("batch.html")
    head = page.locator("th", has=page.get_by_role("button", name="after"))
    assert page.locator("[aria-sort]").count() == 0
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    sizes = column(page, 4)
    assert sizes[-1] == ""  # what failed has none, and stays last
    numbers = list(map(int, sizes[:-1]))
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 1
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 4)[-1] == ""
    assert list(map(int, column(page, 4)[:-1])) == sorted(numbers, reverse=True)
    names = page.locator("th", has=page.get_by_role("button", name="image"))
    page.get_by_role("button", name="image").focus()
    page.keyboard.press("Space")
    assert names.get_attribute("aria-sort") == "ascending"
    assert page.locator("[aria-sort]").count() == 1
    assert page.locator("#told").text_content() == "Sorted by image, ascending."
    assert set(column(page, 1)) == {EVIL, "other.jpg", "broken.png", "small.png"}


@pytest.mark.parametrize("name", ["image.html", "batch.html"])
def test_an_evil_name_is_shown_and_not_run(visit, name):
    page = visit(name)
    assert page.get_by_text(EVIL, exact=True).first.is_visible()
    assert page.evaluate("() => window.hit") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["image.html", "batch.html"])
def test_text_can_be_read(visit, name, scheme):
    """With the contrast that WCAG 2.2 asks for, 4.5."""
    page = visit(name, color_scheme=scheme)
    for place in page.locator(".plot:not(#cube)").all():
        place.scroll_into_view_if_needed()
        page.wait_for_function("place => place.data", arg=place.element_handle())
    page.evaluate(
        "() => document.querySelectorAll('details').forEach((each) => (each.open = true))"
    )
    found = page.evaluate(CONTRAST)
    assert len(found) > (300 if name == "image.html" else 30)
    assert [entry for entry in found if entry[0] < 4.5] == []
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)")


def test_plots_follow_the_scheme(visit):
    page = visit("image.html", color_scheme="light")
    page.locator("#trace").scroll_into_view_if_needed()
    page.wait_for_function("() => document.getElementById('trace').layout")
    paper = "() => document.getElementById('trace').layout.paper_bgcolor"
    assert page.evaluate(paper) == "#ffffff"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => ({paper})() === '#14171b'")


@pytest.mark.parametrize("name", ["image.html", "batch.html"])
def test_a_narrow_screen_is_wide_enough(visit, name):
    page = visit(name)
    page.set_viewport_size({"width": 400, "height": 800})
    width = "document.documentElement.scrollWidth"
    page.wait_for_function(f"() => {width} <= 400")  # charts are drawn anew a moment later
    assert page.evaluate(f"() => {width}") <= 400
