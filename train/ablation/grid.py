"""The cells of an ablation: variants times every combination of the settings that vary."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import VARIANTS
from train.options import NETWORK_OPTIONS, TrainOptions, model_config, only_what_applies

NOT_VARIED = (
    "preset",
    "variant",
    "dataset",
    "labels",
    "task",
    "seed",
    "device",
    "threads",
    "distill",
    "crops_per_segment",
    "workers",
    "loaders",
    "cache",
    "notice",
)
"""Options with an argument of their own, or that must be the same for every cell."""
PAPER_VARIANTS = ("mer", "mer-sem", "mer-mbt", "mer-sem-mbt")
"""The ablation of the paper's section 4.4."""


@dataclass(frozen=True)
class Vary:
    """One setting and the values it takes."""

    field: str
    """Of :class:`train.options.TrainOptions`."""
    values: tuple[Any, ...]
    texts: tuple[str, ...]
    """The values as they were written."""


@dataclass(frozen=True)
class Cell:
    """One kind of run, trained once a seed."""

    name: str
    """Also its folder."""
    variant: str
    settings: dict[str, str]
    """What varies beside the variant, as it was written."""
    changes: dict[str, Any]
    """Of the options that all cells share."""

    def options(self, base: TrainOptions, seed: int) -> TrainOptions:
        """The options of the run with this seed; weights for encoders it has not got are left out.

        Raises:
            MerEdgeError: a value is out of its range.
        """
        changed = replace(base, variant=self.variant, seed=seed, **self.changes)
        return only_what_applies(changed)


def parse_vary(text: str) -> Vary:
    """``FIELD=A,B``: a training option and its values.

    The members of a value that is a list are joined by ``+``: ``audio_sem_positions=2+4,4,none``.

    Raises:
        MerEdgeError: no such option, one that cannot vary, or a value of the wrong type.
    """
    name, sign, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    possible = [field.name for field in fields(TrainOptions) if field.name not in NOT_VARIED]
    if not sign or name not in possible:
        raise MerEdgeError(
            f"found --vary {text}; expected FIELD=VALUE,VALUE with one of the fields "
            f"{', '.join(possible)}"
        )
    texts = tuple(part.strip() for part in listed.split(",") if part.strip())
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise MerEdgeError(f"found --vary {text}; expected at least two values, each once")
    return Vary(name, tuple(_value(name, part) for part in texts), texts)


def make_cells(variants: Sequence[str], varies: Sequence[Vary]) -> list[Cell]:
    """Every variant with every combination, in the order they were given.

    Raises:
        MerEdgeError: an unknown variant, or something twice.
    """
    for variant in variants:
        if variant not in VARIANTS:
            raise MerEdgeError(
                f"unknown variant '{variant}'; expected some of {', '.join(VARIANTS)}"
            )
    names = [vary.field for vary in varies]
    for kind, given in (("variants", list(variants)), ("--vary", names)):
        if len(set(given)) < len(given):
            raise MerEdgeError(f"{kind} {', '.join(given)}; expected each once")
    cells = []
    for variant in variants:
        for places in itertools.product(*(range(len(vary.values)) for vary in varies)):
            chosen = list(zip(varies, places, strict=True))
            settings = {vary.field: vary.texts[place] for vary, place in chosen}
            changes = {vary.field: vary.values[place] for vary, place in chosen}
            cells.append(Cell(cell_name(variant, settings), variant, settings, changes))
    _check_names(cells)
    return cells


def distinct(cells: Sequence[Cell], base: TrainOptions) -> tuple[list[Cell], dict[str, str]]:
    """The cells that train something of their own: each network with each way to train it once.

    ``sem_attention`` changes nothing of a variant without SEMs, and ``mer-sem-mbt`` without an
    encoder between the modalities is ``mer-sem``.

    Returns:
        The first cell of each kind, and by the names of the others the name of theirs.

    Raises:
        MerEdgeError: a value is out of its range.
    """
    kept: list[tuple[Cell, Any]] = []
    twins: dict[str, str] = {}
    for cell in cells:
        trained = _trained(cell.options(base, seed=0))
        twin = next((other.name for other, theirs in kept if theirs == trained), None)
        if twin is None:
            kept.append((cell, trained))
        else:
            twins[cell.name] = twin
    return [cell for cell, _ in kept], twins


def cell_name(variant: str, settings: dict[str, str]) -> str:
    """A name that is a folder's as well: ``mer-sem-mbt_sem_attention-key``."""
    parts = [variant, *(f"{field}-{text}" for field, text in settings.items())]
    return re.sub(r"[^A-Za-z0-9.+_-]", "_", "_".join(parts))


def reference_of(cells: Sequence[Cell], name: str | None) -> str:
    """The cell that the others are compared with.

    Args:
        name: of the cell; None: the last variant with the first value of everything that varies.

    Raises:
        MerEdgeError: no cell has that name.
    """
    names = [cell.name for cell in cells]
    if name is None:
        return next(cell.name for cell in cells if cell.variant == cells[-1].variant)
    if name not in names:
        raise MerEdgeError(f"found --reference {name}; expected one of {', '.join(names)}")
    return name


def _trained(options: TrainOptions) -> Any:
    """What tells trainings apart: the network, and the options that do not say which it is."""
    try:
        config = model_config(options)
    except MerEdgeError:
        return options  # it makes no network: the run will say why
    rest: dict[str, Any] = dict.fromkeys(("variant", *NETWORK_OPTIONS))
    if options.vggish is None and options.resnet is None:
        rest["backbone_learning_rate"] = None
    return config, {**asdict(options), **rest}


def _value(name: str, text: str) -> Any:
    """``text`` as the option's type."""
    hint = get_type_hints(TrainOptions)[name]
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    if hint == tuple[int, ...] or tuple[int, ...] in kinds:
        parts = [] if text == "none" else text.split("+")
        return tuple(_convert(name, text, part, int) for part in parts)
    if kinds == [Path]:
        return Path(text)
    return _convert(name, text, text, kinds[0])


def _convert(name: str, text: str, part: str, kind: Any) -> Any:
    try:
        return msgspec.convert(part, kind, strict=False)
    except msgspec.ValidationError as error:
        raise MerEdgeError(
            f"found --vary {name}={text}; expected values that are {kind.__name__}"
        ) from error


def _check_names(cells: Sequence[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        other = seen.setdefault(cell.name, cell)
        if other is not cell:
            raise MerEdgeError(
                f"two cells are called {cell.name} ({other.settings} and {cell.settings}); "
                "expected values that differ in their letters and digits"
            )
