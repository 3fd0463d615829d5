"""Two processes with the same global batch follow the curve of one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from tests.once import made_once
from tests.train.fit_noise import curve, half_without_face
from train.distributed import SharedBatchNorm2d, make_accelerator, share_batch_norm
from train.options import TrainOptions

LAUNCH = [
    *("-m", "accelerate.commands.launch", "--multi_gpu"),
    *("--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
    "-m",
]
ROOT = Path(__file__).resolve().parents[2]


class Together(NamedTuple):
    """What two processes left behind and printed."""

    folder: Path
    curve: list[list[float]]
    report: dict[str, Any]


def launch(*arguments: str) -> str:
    """What two processes print; Accelerate starts them on the CPU where there is no GPU."""
    ran = subprocess.run(
        [sys.executable, *LAUNCH, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def together(drawn_data, tmp_path_factory) -> Together:
    """Two processes train on noise, then run the command."""

    def train(folder: Path) -> None:
        command = ["train", str(drawn_data), "--out", str(folder / "run"), "--preset", "tiny"]
        command += ["--epochs", "1", "--batch-size", "3", "--accumulate", "2", "--json"]
        printed = launch("tests.train.fit_noise", str(folder), *command)
        (folder / "printed").write_text(printed)

    folder = made_once(tmp_path_factory, "together", train)
    curve, report = (folder / "printed").read_text().splitlines()
    return Together(folder, json.loads(curve), json.loads(report))


def test_two_processes_follow_one_also_where_one_of_them_sees_no_face(together):
    alone = curve(half_without_face(together.folder))
    for one, two in zip(alone, together.curve, strict=True):
        assert two == pytest.approx([one.train_loss, one.valid_loss], rel=2e-3)
    # Before Adam makes rounding errors larger, they agree to the last digits of fp32.
    assert together.curve[0][0] == pytest.approx(alone[0].train_loss, rel=1e-5)


def test_the_command_runs_in_two_processes_and_one_of_them_writes(together):
    written = json.loads((together.folder / "run/report.json").read_text())
    assert together.report == written
    assert written["finished"] is True
    assert written["test"]["clips"] == 4


def test_shared_batch_norm_of_one_process_is_the_ordinary_one(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        torch.manual_seed(0)
        ordinary = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        shared = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        shared.load_state_dict(ordinary.state_dict())
        kept = shared[1].weight
        share_batch_norm(shared)
        assert isinstance(shared[1], SharedBatchNorm2d)
        assert shared[1].weight is kept  # the optimiser holds this very parameter
        for _ in range(2):
            x = torch.randn(2, 3, 8, 8)
            outputs = [model(x) for model in (ordinary, shared)]
            assert torch.allclose(*outputs, atol=1e-5)
            for model, output in zip((ordinary, shared), outputs, strict=True):
                model.zero_grad()
                output.square().mean().backward()
            for one, other in zip(ordinary.parameters(), shared.parameters(), strict=True):
                assert torch.allclose(one.grad, other.grad, atol=1e-4)
        for name, value in ordinary.state_dict().items():
            assert torch.allclose(value.float(), shared.state_dict()[name].float(), atol=1e-5), name
        before = shared[1].running_mean.clone()
        shared[1].ignored = True
        shared(x)
        assert torch.equal(shared[1].running_mean, before)
    finally:
        torch.distributed.destroy_process_group()


def test_settings_of_one_run_do_not_stay_for_the_next():
    assert make_accelerator(TrainOptions(precision="bf16")).mixed_precision == "bf16"
    assert make_accelerator(TrainOptions()).mixed_precision == "no"
