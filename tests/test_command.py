"""The command as people type it: without "compress", with names by pattern, with completion."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.batch.names import check_name, fill_name
from fastkq.batch.plan import plan_jobs
from fastkq.cli import HOMES, main
from fastkq.command.arguments import COMMANDS, make_parser, with_command
from fastkq.files.mark import is_own_output


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(8)
    for name in ("a", "b"):
        image = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        image.save(tmp_path / f"{name}.png")
    return tmp_path


def test_every_command_has_its_home():
    assert sorted(COMMANDS) == sorted(HOMES)


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (["photo.jpg"], "compress"),
        (["-k", "5", "photo.jpg"], "compress"),
        (["-"], "compress"),
        (["IMG_1234", "-k", "5"], "compress"),
        (["*.jpg"], "compress"),
        (["palette", "a.jpg"], "palette"),
        (["--help"], "--help"),
        (["compres", "a.jpg"], "compres"),
        (["unknown"], "unknown"),
    ],
)
def test_without_a_command_images_are_compressed(given, command):
    assert with_command(given)[0] == command
    assert with_command(given)[-len(given) :] == given


def test_a_file_needs_no_command(photos, capsys):
    assert main([str(photos / "a.png"), "-k", "4"]) == 0
    assert (photos / "a-fastkq.png").exists()
    assert "4 colors" in capsys.readouterr().out


def test_a_folder_without_a_dot_is_a_source(photos, monkeypatch, capsys):
    monkeypatch.chdir(photos.parent)
    assert main([photos.name, "-k", "4", "-j", "1"]) == 0
    assert sorted(path.name for path in photos.iterdir()) == [
        "a-fastkq.png",
        "a.png",
        "b-fastkq.png",
        "b.png",
    ]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_that_are_allowed(command, capsys):
    import shlex

    with pytest.raises(SystemExit) as ended:
        main([*([command] if command else []), "--help"])
    assert ended.value.code == 0
    _, _, examples = capsys.readouterr().out.partition("examples:\n")
    lines = [line.strip() for line in examples.split("\n\n")[0].splitlines() if line.strip()]
    assert lines
    for line in lines:
        call = line.partition("fastkq ")[2].partition(">")[0]
        words = shlex.split(call.split("   ")[0])
        options = make_parser().parse_args(with_command(words))
        assert command in ("", options.command)


def test_one_image_is_named_by_a_pattern(photos):
    assert main([str(photos / "a.png"), "-k", "4", "-q", "--name", "{stem}-small{suffix}"]) == 0
    assert is_own_output(photos / "a-small.png")


def test_many_images_are_named_by_a_pattern(photos):
    arguments = [str(photos), "-k", "4", "-q", "-j", "1", "--name", "{parent}_{stem}"]
    assert main(arguments) == 0
    names = {f"{photos.name}_{stem}.png" for stem in "ab"}
    assert {path.name for path in photos.iterdir()} == {"a.png", "b.png"} | names
    before = {name: (photos / name).stat().st_mtime_ns for name in names}
    assert main(arguments) == 0  # a second run finds what the first has written
    assert {path.name for path in photos.iterdir()} == {"a.png", "b.png"} | names
    assert before == {name: (photos / name).stat().st_mtime_ns for name in names}


def test_names_that_clash_get_others(photos):
    planned = plan_jobs([photos / "a.png", photos / "b.png"], "out", name="same.png")
    assert [job.target for job in planned] == ["out/same.png.png", "out/same.png-2.png"]
    beside = plan_jobs([photos / "a.png"], None, name="{stem}")
    assert beside[0].target == f"{photos}/a.png-2.png"


def test_folders_keep_their_tree_under_other_names(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x.y.jpg").touch()
    (job,) = plan_jobs(
        [tmp_path / "in"], "out", recursive=True, name="{stem}-{parent}", format="gif"
    )
    assert job.target == "out/sub/x.y-sub.gif"


def test_compress_many_takes_the_pattern(photos):
    results = list(fastkq.compress_many(photos, photos / "out", 4, jobs=1, name="{stem}-small"))
    assert sorted(result.target for result in results) == [
        str(photos / "out" / f"{stem}-small.png") for stem in "ab"
    ]


@pytest.mark.parametrize("pattern", ["", "..", "a/b", "{}", "{stem", "{stem!r}", "{stem:5}", "{x}"])
def test_what_is_no_name_is_told(pattern):
    with pytest.raises(ValueError, match=re.escape("a name of {stem}, {parent} and {suffix}")):
        check_name(pattern, "png")


def test_a_stem_with_braces_is_no_pattern():
    assert fill_name(check_name("{stem}{suffix}", "png"), "x/{parent}.jpg") == "{parent}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_and_options(shell, capsys):
    pytest.importorskip("shtab", reason="fastkq[completion] is not installed")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("compress", "palette", "adaptive"):
        assert word in script


def test_bash_completes(tmp_path, capsys):
    pytest.importorskip("shtab", reason="fastkq[completion] is not installed")
    main(["completion", "bash"])
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    ask = (
        f"source {script}; COMP_WORDS=(fastkq compress --dit); COMP_CWORD=2; "
        "_shtab_fastkq; echo ${COMPREPLY[@]}"
    )
    run = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)  # noqa: S607
    assert run.stdout.split() == ["--dither", "--dither-strength"]


def test_completion_without_shtab_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert capsys.readouterr().err == (
        'fastkq: shell completion needs shtab; `pip install "fastkq[completion]"` installs it\n'
    )
