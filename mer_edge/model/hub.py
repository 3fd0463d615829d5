"""A file of weights by its path, or by its name on the Hugging Face hub.

The hub's client comes with transformers. Nothing that is downloaded is run: files of weights are
read as tensors (``mer_edge.model.weights``), and no model is loaded with code of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer_edge.errors import MerEdgeError

FILES = ("model.safetensors", "pytorch_model.bin")
"""What ``owner/name`` alone means, in this order."""
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(:.+)?")
_FILE_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".tar", ".ckpt")


def find_weights(source: str | Path) -> Path:
    """The local file or run that ``source`` names.

    Args:
        source: a path, or ``owner/name`` or ``owner/name:FILE`` of the hub where there is no such
            path; what was downloaded before is found without a network.

    Returns:
        A path; one where nothing is, if ``source`` cannot be a name of the hub either: reading it
        says so.

    Raises:
        MerEdgeError: the hub cannot be reached, or has no such file.
    """
    path = Path(source)
    if path.exists() or not is_hub_name(str(source)):
        return path
    name, _, file = str(source).partition(":")
    return _download(str(source), name, (file,) if file else FILES)


def is_hub_name(source: str) -> bool:
    """Whether it has the form ``owner/name`` or ``owner/name:FILE``.

    >>> is_hub_name("timm/resnet18.tv_in1k"), is_hub_name("weights/vggish.pth")
    (True, False)
    """
    named = source.partition(":")[0]
    return bool(_NAME.fullmatch(source)) and not named.lower().endswith(_FILE_SUFFIXES)


def _download(source: str, name: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    unreachable = False
    for file in files:
        try:
            return Path(hf_hub_download(name, file, local_files_only=unreachable))
        except LocalEntryNotFoundError:  # no answer, and nothing from before
            unreachable = True
        except EntryNotFoundError:  # the hub has answered: no such file
            continue
        except Exception as error:  # whatever the hub's client and what is below it raise
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise _refused(source, f"the hub says: {reason}") from error
    if unreachable:
        raise _refused(source, "the hub cannot be reached, and nothing of it was downloaded before")
    raise _refused(source, f"on the hub it has no {' or '.join(files)}")


def _refused(source: str, why: str) -> MerEdgeError:
    return MerEdgeError(
        f"{source}: no such file or run here, and {why}; expected a file of weights, a run, or "
        "owner/name or owner/name:FILE on the hub (docs/weights.md)"
    )
