"""Manifests: files that list sources, as lines of JSON or as a column of a Parquet file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from fastkq.batch.remote import is_url, read
from fastkq.batch.text import one_line

PARQUET = ".parquet"
# The column of a Parquet file that has the sources, by what it is called; else its first of texts.
COLUMNS = ("source", "path", "key")


def read_manifest(path: str) -> list[str]:
    """Return the sources that a manifest lists.

    Parameters
    ----------
    path : path or address
        A file that ends in ".parquet", or one of JSON lines: each a name, or an object with one as
        its "source".

    Raises
    ------
    ValueError, OSError
        It cannot be read, or has something else.
    RuntimeError
        It is a Parquet file, and `fastkq[parquet]` is not installed.
    """
    data = read(path) if is_url(path) else Path(path).read_bytes()
    return _read_parquet(path, data) if path.lower().endswith(PARQUET) else _read_lines(path, data)


def _read_lines(path: str, data: bytes) -> list[str]:
    sources = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is no JSON: {error}") from error
        source = entry.get("source") if isinstance(entry, dict) else entry
        if not isinstance(source, str):
            raise ValueError(
                f"{path}: line {number} is {line[:40].decode(errors='replace')!r}; a name, or an "
                'object with one as its "source", is allowed'
            )
        sources.append(source)
    return sources


def _read_parquet(path: str, data: bytes) -> list[str]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise RuntimeError(
            f"{path}: cannot be read, since {one_line(error)}; `pip install "
            '"fastkq[parquet]"` is needed, or a manifest of JSON lines'
        ) from None
    try:
        table = parquet.ParquetFile(io.BytesIO(data))
        column = _choose_column(path, table.schema_arrow)
        values: list[Any] = table.read(columns=[column]).column(column).to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: is no Parquet file that can be read: {one_line(error)}"
        ) from None
    if None in values:
        raise ValueError(f"{path}: row {values.index(None) + 1} has no {column}")
    return values


def _choose_column(path: str, schema: Any) -> str:
    """Return the name of the column that has the sources."""
    from pyarrow import types

    def is_text(kind: Any) -> bool:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_string(kind) or types.is_large_string(kind))

    texts = [field.name for field in schema if is_text(field.type)]
    named = [name for name in COLUMNS if name in texts]
    if not texts:
        raise ValueError(
            f"{path}: has no column of texts; one called {', '.join(COLUMNS)}, or any other, is "
            "allowed"
        )
    return str((named or texts)[0])
