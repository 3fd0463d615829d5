"""``mer-edge doctor``: what this machine has, and what is missing for which command."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mer_edge.doctor.examine import Examination

SCHEMA_VERSION = 1
MARKS = {"ok": "ok", "missing": "-", "broken": "BROKEN", "info": ""}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``mer-edge doctor``."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Examine the machine and print what was found. Finding something broken is no failure."""
    from mer_edge.doctor.examine import examine

    examination = examine()
    if args.json:
        print(json.dumps(as_json(examination), ensure_ascii=False))
    else:
        print(as_text(examination))
    return 0


def as_json(examination: Examination) -> dict[str, object]:
    """``{"schema_version", "mer_edge", "findings": [...], "commands": [...]}``."""
    from mer_edge import __version__

    return {
        "schema_version": SCHEMA_VERSION,
        "mer_edge": __version__,
        "findings": [asdict(finding) for finding in examination.findings],
        "commands": [asdict(command) for command in examination.commands],
    }


def as_text(examination: Examination) -> str:
    """The findings, then the commands with the line that installs what they lack."""
    width = max(len(finding.name) for finding in examination.findings)
    lines = ["this machine"]
    for finding in examination.findings:
        lines.append(f"  {finding.name:<{width}}  {MARKS[finding.status]:<6}  {finding.detail}")
        if finding.status == "broken" and finding.fix:
            lines.append(f"  {'':<{width}}          run: {finding.fix}")
    lines.append("")
    lines.append("commands")
    width = max(len(command.use) for command in examination.commands)
    for command in examination.commands:
        state = "ok" if command.ok else "; ".join(command.missing)
        lines.append(f"  {command.use:<{width}}  {state}")
        if command.fix:
            lines.append(f"  {'':<{width}}  run: {command.fix}")
    lines += ["", f"next: {_next(examination)}"]
    return "\n".join(lines)


def _next(examination: Examination) -> str:
    """The first thing that can be done here, or what makes it possible."""
    commands = {command.use: command for command in examination.commands}
    if commands["infer without --bundle"].ok:
        return "mer-edge infer YOUR_CLIP.mp4"
    if commands["demo"].ok:
        return "mer-edge demo"
    if commands["infer"].ok:
        return "mer-edge infer --bundle DIR YOUR_CLIP.mp4"
    return commands["infer"].fix or "mend what is marked BROKEN above"
