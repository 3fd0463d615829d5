"""Weights of VGGish and ResNet18: from files of other projects, in the layouts they come in, and
from other runs of this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mer_edge.errors import MerEdgeError
from mer_edge.model.checkpoint_files import WEIGHTS_FILE, checkpoint_directory
from mer_edge.model.resnet import ResNet
from mer_edge.model.vggish import Vggish

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which key training scripts put the state dict."""
_PREFIX = "module."
"""What DataParallel puts before every key."""


def load_vggish(module: Vggish, path: Path) -> None:
    """Load the common PyTorch port of VGGish (``features.*`` and ``embeddings.*``).

    ``pproc.*`` (PCA and 8-bit rounding after the network) is ignored. Of a directory that
    mer-edge train made, the audio encoder's backbone is taken.

    Raises:
        MerEdgeError: no weights, a missing or surplus key, a wrong shape.
    """
    _load(module, path, ignored=("pproc.",), prefix="vggish.backbone.")


def load_resnet18(module: ResNet, path: Path) -> None:
    """Load a ResNet18 in torchvision's layout, with any classifier (``fc.*``, ignored) or none.

    Of a directory that mer-edge train made, the visual encoder's backbone is taken.

    Raises:
        MerEdgeError: no weights, a missing or surplus key, a wrong shape.
    """
    _load(module, path, ignored=("fc.",), prefix="resnet.backbone.")


def _load(module: nn.Module, path: Path, ignored: tuple[str, ...], prefix: str) -> None:
    if path.is_dir():
        path = checkpoint_directory(path) / WEIGHTS_FILE
        tensors = _with_prefix(read_state_dict(path), prefix, path)
    else:
        tensors = read_state_dict(path)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(ignored)}
    check_finite(kept, path)
    assign_weights(module, kept, path)


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if not found:
        raise MerEdgeError(
            f"{path}: no weights named {prefix}*; expected a run of a variant that has this "
            "encoder; name another run or a file of weights"
        )
    return found


def check_finite(tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Refuse weights that a training run has ruined.

    Raises:
        MerEdgeError: the first weight with a NaN or infinite value, by name.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise MerEdgeError(
                f"{source}: the weight {name} has NaN or infinite values; expected finite ones"
            )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or a pickled state dict, never running its code.

    A state dict may lie under "state_dict", "model_state_dict" or "model", and its keys may
    begin with "module.".

    Raises:
        MerEdgeError: no file, not a file of weights, or a pickle of more than tensors.
    """
    if not path.is_file():
        raise MerEdgeError(f"{path}: no such file; expected a file of weights")
    content = _unwrap(_read(path))
    if not isinstance(content, Mapping) or not content:
        raise MerEdgeError(f"{path}: holds no state dict; expected names with their tensors")
    tensors = {str(name).removeprefix(_PREFIX): value for name, value in content.items()}
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise MerEdgeError(
                f"{path}: {name} is a {type(value).__name__}; expected names with their tensors"
            )
    return tensors


def _read(path: Path) -> Any:
    # Damaged or hostile files make the two readers raise almost anything (struct, zip, pickle,
    # key and runtime errors), and all of it means the same to the user.
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise MerEdgeError(
            f"{path}: not a readable file of weights ({type(error).__name__}); expected "
            ".safetensors, or .pth that holds tensors and nothing else"
        ) from error


def _unwrap(content: Any) -> Any:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return content[key]
    return content


def assign_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``tensors`` into ``module``; every key must be there, none beyond, all of one shape.

    Raises:
        MerEdgeError: the first key that does not fit, by name. ``module`` is then unchanged.
    """
    expected = module.state_dict()
    missing = [name for name in expected if name not in tensors]
    surplus = [name for name in tensors if name not in expected]
    for names, what in ((missing, "missing"), (surplus, "surplus")):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise MerEdgeError(
                f"{path}: {what} key {names[0]}{others}; expected exactly the "
                f"{len(expected)} keys of a {type(module).__name__}"
            )
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise MerEdgeError(
                f"{path}: {name} has the shape {tuple(tensors[name].shape)}; "
                f"expected {tuple(tensor.shape)}: the sizes of the network differ"
            )
    module.load_state_dict(dict(tensors))
