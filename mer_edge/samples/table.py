"""A manifest as a table: ``manifest.csv``, a heading and a line a clip.

The columns are the fields of :class:`~mer_edge.samples.line.ManifestLine`. Several labels
of a clip are separated by ``;``; an empty cell is a field that is not given (of ``text``: nobody
wrote down what is said; of ``media``: the line is text alone). Other columns are left alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mer_edge.errors import MerEdgeError
from mer_edge.samples.line import ManifestLine

REQUIRED = ("media", "text", "labels", "split")
_NUMBERS = ("start", "end", "frame_rate")
_LABEL_SEPARATOR = ";"
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What spreadsheets write where the comma is the decimal sign, and its name."""


def csv_lines(text: str, path: Path) -> Iterator[tuple[int, ManifestLine]]:
    """Each clip's fields, and the number of the line where they start.

    Args:
        text: The whole table.
        path: Of the table, for messages.

    Raises:
        MerEdgeError: the heading lacks a column or has one twice, a line has more or fewer cells
            than the heading, quotes do not match, or a cell is no number where it has to be.
    """
    # Strict: else a forgotten quote would silently make one clip of many lines.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    heading: list[str] | None = None
    first = 1
    try:
        for cells in reader:
            number, first = first, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if heading is None:
                heading = _heading(cells, path)
                continue
            yield number, _line(heading, cells, f"{path}, line {number}")
    except csv.Error as error:
        raise MerEdgeError(
            f"{path}, line {first}: {error}; expected cells separated by commas, with double "
            "quotes around one that has a comma or quotes in it"
        ) from error


def _heading(cells: list[str], path: Path) -> list[str]:
    heading = [cell.strip() for cell in cells]
    _check_separator(cells, path)
    missing = [name for name in REQUIRED if name not in heading]
    if missing:
        raise MerEdgeError(
            f"{path}: found no column {', '.join(missing)}; expected the columns "
            f"{', '.join(REQUIRED)}, separated by commas; add what is missing, or mend its name"
        )
    if len(set(heading)) < len(heading):
        twice = next(name for name in heading if heading.count(name) > 1)
        raise MerEdgeError(
            f"{path}: found the column '{twice}' twice; expected it once; remove one"
        )
    return heading


def _check_separator(cells: list[str], path: Path) -> None:
    """Refuse a heading that is one when it is cut elsewhere than at commas."""
    for separator, name in _OTHER_SEPARATORS.items():
        columns = [column.strip(' "') for column in ",".join(cells).split(separator)]
        if set(REQUIRED) <= set(columns):
            raise MerEdgeError(
                f"{path}: found columns separated by {name}; expected commas; save the table with "
                "commas between the cells and double quotes around a text with commas"
            )


def _line(heading: list[str], cells: list[str], where: str) -> ManifestLine:
    if len(cells) != len(heading):
        raise MerEdgeError(
            f"{where}: {len(cells)} cells; expected {len(heading)}, one a column; put double "
            "quotes around a text with commas"
        )
    row = dict(zip(heading, cells, strict=True))
    fields: dict[str, object] = {name: row[name] for name in REQUIRED}
    fields["text"] = row["text"] or None
    fields["media"] = row["media"] or None
    fields["labels"] = _labels(row["labels"])
    for name in ManifestLine.__struct_fields__:
        if name not in fields and row.get(name):
            fields[name] = _number(row[name], name, where) if name in _NUMBERS else row[name]
    try:
        return msgspec.convert(fields, type=ManifestLine)
    except msgspec.ValidationError as error:
        raise MerEdgeError(
            f"{where}: {error}; expected what docs/datasets.md says of the columns"
        ) from error


def _labels(cell: str) -> list[str]:
    return [label.strip() for label in cell.split(_LABEL_SEPARATOR)] if cell.strip() else []


def _number(cell: str, name: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise MerEdgeError(
            f"{where}: {name} is {cell!r}; expected a number with a point, or nothing"
        ) from None
