"""A job's rows as Parquet, one for each output, or for an item without any."""

import contextlib
import importlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .folder import Folder
from .latest import Standing, last_rows

ROWS_A_GROUP = 50_000
"""Held at once, and written together."""
COLUMNS = (
    ("key", "string"),
    ("version", "string"),
    ("code", "string"),
    ("detail", "string"),
    ("source_bytes", "int64"),
    ("milliseconds", "float64"),
    ("facts", "string"),
    ("shard", "int32"),
    ("output", "string"),
    ("output_key", "string"),
    ("output_bytes", "int64"),
)
"""Where nothing was made, those of the output and the source's size are null; `facts` is JSON."""


class NoParquet(Exception):
    """The package that writes it is not installed."""


def write_parquet(folder: Folder, path: Path, *, rows_a_group: int = ROWS_A_GROUP) -> int:
    """Write the last row of every item that has one, a few at a time; the number of rows. Raises NoParquet.

    The file is there when it is whole.
    """
    try:
        # The host starts without it: it is 40 MB, and an extra.
        pa = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as missing:
        raise NoParquet(
            "Parquet needs the extra `parquet`: pip install 'remote-worker[parquet]'"
        ) from missing
    schema = pa.schema([pa.field(name, getattr(pa, kind)()) for name, kind in COLUMNS])
    standing = last_rows(folder, folder.committed(), folder.retries())
    rows = itertools.chain.from_iterable(map(_rows, standing))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            while some := list(itertools.islice(rows, rows_a_group)):
                columns = zip(*some, strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
                count += len(some)
        unfinished.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()
    return count


def _rows(standing: Standing) -> Iterator[Sequence[Any]]:
    row = standing.row
    item = (
        # Names of files need not be UTF-8, and Parquet takes nothing else.
        row.key.encode("utf-8", "backslashreplace").decode(),
        row.version,
        row.code,
        row.detail,
        row.source_bytes or None,
        row.milliseconds,
        json.dumps(row.facts, sort_keys=True) if row.facts else None,
        standing.shard,
    )
    if not row.outputs:
        yield (*item, None, None, None)
    for made in row.outputs:
        yield (*item, made.name, made.key, made.size_bytes)
