"""A report in the terminal, as JSON and as Markdown."""

from __future__ import annotations

from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.files import check_new_file, new_file
from runtime.bench.report import BenchReport
from runtime.bench.rows import headline, sections, warnings

SUFFIXES = (".json", ".md")


def check_out(path: Path) -> None:
    """Whether a report can be written there.

    Raises:
        MerEdgeError: another extension, or no file can be there.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise MerEdgeError(
            f"--out {path}: the extension is '{path.suffix}'; expected {' or '.join(SUFFIXES)}"
        )
    check_new_file(path, f"--out {path}")


def as_json(report: BenchReport) -> bytes:
    """The fields of ``BenchReport``, and ``warnings`` as the table has them, indented."""
    import msgspec

    fields = {**msgspec.to_builtins(report), "warnings": warnings(report)}
    return msgspec.json.format(msgspec.json.encode(fields), indent=2)


def as_markdown(report: BenchReport) -> str:
    """A page with a table a section."""
    parts = [f"# mer-edge bench\n\n{headline(report)}\n\nMeasured {report.measured}."]
    parts += [f"**{text}**" for text in warnings(report)]
    for section in sections(report):
        lines = [section.head, tuple("---" for _ in section.head), *section.rows]
        table = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        parts.append(f"## {section.title}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def write_report(report: BenchReport, path: Path) -> None:
    """JSON or Markdown, by the extension; whole or not at all."""
    content = as_markdown(report).encode()
    if path.suffix.lower() == ".json":
        content = as_json(report) + b"\n"
    with new_file(path, "writing the report") as temporary:
        temporary.write_bytes(content)


def print_report(report: BenchReport) -> None:
    """Tables for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(headline(report), style="bold"), soft_wrap=True)
    for section in sections(report):
        table = Table(box=None, padding=(0, 1), header_style="bold", title_justify="left")
        numbers = len(section.head) > 2
        for number, name in enumerate(section.head):
            right = numbers and number > 0
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*map(Text, row))
        console.print(Text(section.title, style="bold cyan"))
        console.print(table)
    for text in warnings(report):
        console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
