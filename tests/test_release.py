"""What a release says of itself in several places is the same everywhere."""

import re
import tomllib
from pathlib import Path

import pytest

import fastkq

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not (ROOT / "CITATION.cff").exists(), reason="the installed package has no such files"
)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_newest_release_is_this_version():
    releases = re.findall(r"^## \[(.+?)\](?: - (.+))?$", read("CHANGELOG.md"), re.MULTILINE)
    assert releases[0] == ("Unreleased", "")
    version, date = releases[1]
    assert version == fastkq.__version__
    assert f"\nversion: {version}\n" in read("CITATION.cff")
    assert f"\ndate-released: {date}\n" in read("CITATION.cff")
    dates = [date for _, date in releases[1:]]
    assert dates == sorted(dates, reverse=True)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates)


def test_every_python_that_is_named_is_allowed():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    named = re.findall(r":: Python :: (3\.\d+)\b", "\n".join(project["classifiers"]))
    assert named[0] == project["requires-python"].removeprefix(">=")
    assert [f"3.{minor}" for minor in range(11, 11 + len(named))] == named


def test_every_exception_from_the_review_has_a_reason():
    tools = tomllib.loads(read("pyproject.toml"))["tool"]
    assert all(reason.endswith(".") for reason in tools["repo-review"]["ignore"].values())
