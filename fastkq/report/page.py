"""A page that is one file: a template, its scripts and its style, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import Any

from fastkq._version import __version__
from fastkq.batch.progress import megabytes
from fastkq.batch.text import printable
from fastkq.files.write import check_output, write_file

GENERATOR = '<meta name="generator" content="fastkq'
HEAD_BYTES = 1 << 12  # of a page, in which its generator is named
MISSING = 'a report needs {0}; `pip install "fastkq[report]"` installs it'


def check_extra() -> None:
    """Raise RuntimeError where the libraries of reports are missing."""
    for name in ("jinja2", "plotly"):
        try:
            __import__(name)
        except ImportError:
            raise RuntimeError(MISSING.format(name)) from None


def check_page(
    target: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool,
    makes_folder: bool = False,
) -> Path:
    """Return the path of a page to write, if it can be one.

    With `makes_folder`, its folder is made if need be, as those of the outputs of a batch are.

    Raises
    ------
    FileExistsError
        There is a file of another kind; a page of fastkq's is replaced.
    ValueError, OSError
        Its name does not end in .html, or it cannot be written.
    """
    path = Path(target)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a report is a .html file; a name that ends so is allowed")
    if makes_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    return check_output(path, source, exclusive=not overwrite and not _is_own_page(path))


def _is_own_page(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return GENERATOR.encode() in file.read(HEAD_BYTES)
    except OSError:
        return False


def write_page(path: Path, text: str) -> None:
    """Write a page, complete or not at all; what of a file's name is no text is escaped."""
    write_file(path, text.encode("utf-8", "backslashreplace"))


def render(template: str, scripts: list[str], **facts: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str, its file's name
    scripts : list of str
        They are what may run on it, by their hashes, and nothing else.
    facts
        What the template tells. All text is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("fastkq.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=megabytes, share=as_share, printable=printable)
    lines = [script.replace("\r\n", "\n") for script in scripts]
    return environment.get_template(template).render(
        version=__version__,
        scripts=[Markup(script) for script in lines],  # noqa: S704 - files of ours and plotly's
        hashes=[_hash(script) for script in lines],
        style=Markup(read_part("style.css")),  # noqa: S704
        **facts,
    )


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def read_part(name: str) -> str:
    """Return a file of the templates, as it is."""
    return (resources.files("fastkq.report") / "templates" / name).read_text(encoding="utf-8")


def read_plotly() -> str:
    """Return plotly.js, whole."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script


def as_share(share: float) -> str:
    """Return a share as a page has it.

    Examples
    --------
    >>> as_share(0.25), as_share(0.0004)
    ('25.0 %', '0.04 %')
    """
    percent = 100 * share
    return f"{percent:.1f} %" if abs(percent) >= 0.1 or percent == 0 else f"{percent:.2g} %"
