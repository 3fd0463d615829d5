"""Weights in the layouts they come in, written here and read back."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import resnet18

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import PAPER, AudioSizes
from mer_edge.model.resnet import ResNet
from mer_edge.model.vggish import Vggish
from mer_edge.model.weights import load_resnet18, load_vggish, read_state_dict

SLIM = AudioSizes((4, 5, 6, 7), 16, 8)
"""The layout of VGGish at a size that a test can write."""


def vggish_state() -> dict[str, Tensor]:
    """What the common port's file holds: the network, and PCA for after it."""
    torch.manual_seed(0)
    shapes = {name: tensor.shape for name, tensor in Vggish(SLIM).state_dict().items()}
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    state["pproc.pca_eigen_vectors"] = torch.randn(8, 8)
    state["pproc.pca_means"] = torch.randn(8, 1)
    return state


def resnet_state(classes: int = 1000) -> dict[str, Tensor]:
    torch.manual_seed(classes)
    return dict(resnet18(weights=None, num_classes=classes).state_dict())


def assert_holds(module: torch.nn.Module, state: dict[str, Tensor]) -> None:
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_vggish_pth_with_postprocessing(tmp_path: Path) -> None:
    state = vggish_state()
    torch.save(state, tmp_path / "vggish.pth")
    module = Vggish(SLIM)
    load_vggish(module, tmp_path / "vggish.pth")
    assert_holds(module, state)


@pytest.mark.parametrize("classes", [1000, 8, 7], ids=["imagenet", "affectnet-8", "affectnet-7"])
def test_torchvision_resnet18_with_any_head(tmp_path: Path, classes: int) -> None:
    state = resnet_state(classes)
    torch.save(state, tmp_path / "resnet18.pth")
    module = ResNet(PAPER.visual)
    load_resnet18(module, tmp_path / "resnet18.pth")
    assert_holds(module, state)


WRAPPINGS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "bare": lambda s: {n: t for n, t in s.items() if not n.startswith("fc.")},
    "state_dict": lambda s: {"epoch": 12, "state_dict": s, "best": 0.6},
    "model": lambda s: {"model": s},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "parallel": lambda s: {"state_dict": {f"module.{n}": t for n, t in s.items()}},
}


@pytest.mark.parametrize("wrapping", list(WRAPPINGS))
def test_usual_wrappings(tmp_path: Path, wrapping: str) -> None:
    state = resnet_state(8)
    torch.save(WRAPPINGS[wrapping](state), tmp_path / "affectnet.pth")
    module = ResNet(PAPER.visual)
    load_resnet18(module, tmp_path / "affectnet.pth")
    assert_holds(module, state)


def test_safetensors(tmp_path: Path) -> None:
    state = resnet_state(8)
    save_file(state, tmp_path / "resnet18.safetensors")
    module = ResNet(PAPER.visual)
    load_resnet18(module, tmp_path / "resnet18.safetensors")
    assert_holds(module, state)


def broken(change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    state = vggish_state()
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.8.bias"), r"missing key features\.8\.bias; expected"),
        (
            lambda s: [s.pop(f"embeddings.{i}.weight") for i in (0, 2)],
            r"missing key embeddings\.0\.weight and 1 more; expected exactly the 18 keys",
        ),
        (lambda s: s.update({"features.1.weight": torch.ones(2)}), r"surplus key features\.1\."),
        (
            lambda s: s.update({"features.3.weight": torch.ones(5, 4, 1, 1)}),
            r"features\.3\.weight has the shape \(5, 4, 1, 1\); expected \(5, 4, 3, 3\)",
        ),
        (
            lambda s: s["embeddings.4.bias"].fill_(torch.nan),
            r"the weight embeddings\.4\.bias has NaN",
        ),
        (lambda s: s.update({"features.0.bias": 3}), r"features\.0\.bias is a int"),
        (lambda s: s.clear(), "holds no state dict"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    torch.save(broken(change), tmp_path / "w.pth")
    module = Vggish(SLIM)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(MerEdgeError, match=message):
        load_vggish(module, tmp_path / "w.pth")
    assert_holds(module, before)


def test_resnet_of_other_depth_is_refused(tmp_path: Path) -> None:
    state = resnet_state(8)
    state["layer1.2.conv1.weight"] = torch.zeros(64, 64, 3, 3)
    torch.save(state, tmp_path / "resnet34.pth")
    with pytest.raises(MerEdgeError, match=r"surplus key layer1\.2\.conv1\.weight; expected"):
        load_resnet18(ResNet(PAPER.visual), tmp_path / "resnet34.pth")


class RunsCode:
    """A pickle that would make a file when read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was-here"
    torch.save({"features.0.weight": RunsCode(trace)}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(RunsCode(trace)))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(MerEdgeError, match=r"not a readable file of weights"):
            read_state_dict(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 100, b"not weights at all\n", b"PK\x03\x04" + b"\x00" * 60, b"\x80\x04N."],
)
def test_junk_is_one_clear_error(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    with pytest.raises(MerEdgeError, match=r"^.*junk.*: (not a readable file|holds no state dict)"):
        read_state_dict(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated_file_is_one_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(vggish_state(), path)
    else:
        save_file(vggish_state(), path)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(MerEdgeError, match="not a readable file of weights"):
            read_state_dict(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match=r"nowhere\.pth: no such file"):
        read_state_dict(tmp_path / "nowhere.pth")
