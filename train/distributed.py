"""One process or many, through Hugging Face Accelerate.

Many processes give the loss curve of one with the same batch: each computes its share of every
step, gradients are added up, and BatchNorm sees the faces of all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce

from mer_edge.errors import MerEdgeError
from train.options import TrainOptions

LONGEST_WAIT = timedelta(days=7)
"""For each other: one process prepares the clips, the others wait."""
MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def is_main_process() -> bool:
    """Whether this is the process that prints and writes; asked before Accelerate starts."""
    return int(os.environ.get("RANK", "0")) == 0


def process_count() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def make_accelerator(options: TrainOptions) -> Accelerator:
    """What places the model, scales its losses and lets the processes speak with each other.

    Raises:
        MerEdgeError: a batch has fewer clips than there are processes.
    """
    if options.batch_size < process_count():
        raise MerEdgeError(
            f"batch_size is {options.batch_size} for {process_count()} processes; expected one "
            "clip for each at least; raise --batch-size or start fewer processes"
        )
    # Accelerate keeps its settings for the life of the process, and the next run of the same
    # process may want others. What a launcher has set up stays.
    AcceleratorState._reset_state(reset_partial_state=process_count() == 1)
    return Accelerator(
        cpu=options.device == "cpu",
        mixed_precision=MIXED_PRECISION[options.precision],
        kwargs_handlers=[
            # A clip without a face leaves the visual encoder without a gradient.
            DistributedDataParallelKwargs(find_unused_parameters=True),
            InitProcessGroupKwargs(timeout=LONGEST_WAIT),
        ],
    )


class SharedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the faces of all processes; PyTorch's own one works on GPUs alone.

    In evaluation mode it is the ordinary one.
    """

    ignored = False
    """Whether this process's input only keeps the others company and must not count."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        here = 0.0 if self.ignored else 1.0
        pixels = x.numel() // x.shape[1]
        total = _sum(x.new_tensor(here * pixels))
        count = total.clamp(min=1)
        mean = _sum(x.sum((0, 2, 3)) * here) / count
        centred = x - mean[:, None, None]
        variance = _sum(centred.square().sum((0, 2, 3)) * here) / count
        if total > 0:
            self._remember(mean.detach(), variance.detach(), count.detach())
        normed = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        output: Tensor = normed * self.weight[:, None, None] + self.bias[:, None, None]
        return output.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if not self.track_running_stats:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        unbiased = variance * count / (count - 1).clamp(min=1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)
        if self.momentum:
            self.num_batches_tracked += 1


def _sum(values: Tensor) -> Tensor:
    """Over all processes; so is the gradient."""
    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total


def share_batch_norm(module: nn.Module) -> None:
    """Put a :class:`SharedBatchNorm2d` in the place of every BatchNorm, with its parameters."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            assert child.momentum is not None
            shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
            shared.weight, shared.bias = child.weight, child.bias  # the optimiser knows these
            for buffer, value in child.named_buffers():
                setattr(shared, buffer, value)
            setattr(module, name, shared.train(child.training))
        else:
            share_batch_norm(child)


@contextmanager
def uncounted(module: nn.Module) -> Iterator[None]:
    """While the block runs, nothing that passes the shared BatchNorms of ``module`` counts."""
    norms = [child for child in module.modules() if isinstance(child, SharedBatchNorm2d)]
    for norm in norms:
        norm.ignored = True
    try:
        yield
    finally:
        for norm in norms:
            norm.ignored = False


def any_process(flag: bool, accelerator: Accelerator) -> bool:
    """Whether ``flag`` is set in any of the processes; all of them have to ask."""
    if accelerator.num_processes == 1:
        return flag
    votes = torch.tensor(float(flag), device=accelerator.device)
    distributed.all_reduce(votes)
    return bool(votes.item())


def add_up(value: float, accelerator: Accelerator) -> float:
    """The sum of ``value`` over the processes; all of them have to ask."""
    if accelerator.num_processes == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
    distributed.all_reduce(total)
    return float(total)
