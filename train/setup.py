"""What stands before the first batch: the device, the seed, the model and its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import load_checkpoint
from mer_edge.model.mer import MerModel
from mer_edge.text.tokenizer import TextTokenizer
from train.datasets.tokenizer import build_tokenizer
from train.options import TrainOptions, model_config


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have, before any work.

    Raises:
        MerEdgeError: another name than cpu or cuda, or no usable GPU.
    """
    if device not in ("cpu", "cuda"):
        raise MerEdgeError(f"unknown device '{device}'; expected cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise MerEdgeError(
            "PyTorch finds no CUDA GPU; expected one for --device cuda; "
            "train with --device cpu, or run: mer-edge doctor"
        )


@contextmanager
def reproducible(options: TrainOptions) -> Iterator[None]:
    """Seed PyTorch, set its threads, and on the CPU admit deterministic algorithms only.

    All of it is as before when the block ends.
    """
    on_gpu = options.device == "cuda"
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    memory: Any = torch.utils.deterministic  # a module whose attributes it makes up
    filling = memory.fill_uninitialized_memory
    with torch.random.fork_rng(range(torch.cuda.device_count()) if on_gpu else ()):
        torch.manual_seed(options.seed)
        torch.use_deterministic_algorithms(deterministic or not on_gpu)
        # Else PyTorch writes NaN into all new memory before it is used, in case somebody reads
        # what nobody wrote; a loss or gradient of NaN is looked for anyway.
        memory.fill_uninitialized_memory = False
        torch.set_num_threads(options.threads or threads)
        try:
            yield
        finally:
            memory.fill_uninitialized_memory = filling
            torch.use_deterministic_algorithms(deterministic)
            torch.set_num_threads(threads)


def make_model(
    sentences: Sequence[str], labels: tuple[str, ...], options: TrainOptions
) -> tuple[MerModel, str]:
    """The preset's model for ``labels`` on the device, and its ``tokenizer.json``.

    Without ``options.bert`` the tokenizer's vocabulary comes from ``sentences``.

    Raises:
        MerEdgeError: a file of weights is missing or does not fit.
    """
    config = replace(model_config(options), labels=labels)
    own_tokenizer = ""
    if options.bert is None:
        own_tokenizer = build_tokenizer(sentences, config.text.vocab_size)
        size = TextTokenizer(own_tokenizer, config.text.max_position_embeddings).vocabulary_size
        config = replace(config, text=replace(config.text, vocab_size=size))
    model, loaded_tokenizer = build_model(
        config, options.bert, options.vggish, options.resnet, options.seed
    )
    model.set_gradient_checkpointing(options.gradient_checkpointing)
    return model.to(options.device), loaded_tokenizer or own_tokenizer


def load_teacher(
    directory: Path, labels: tuple[str, ...], task: str, device: str
) -> tuple[MerModel, TextTokenizer]:
    """A trained run's model and tokenizer, to learn from.

    Raises:
        MerEdgeError: no run, or one that decides on other labels or takes them differently.
    """
    checkpoint = load_checkpoint(directory)
    config = checkpoint.model.config
    if config.labels != labels:
        raise MerEdgeError(
            f"{directory}: the teacher's labels are {', '.join(config.labels)}; expected "
            f"{', '.join(labels)}; take a teacher of the same labels, or give --labels in its order"
        )
    if config.task != task:
        raise MerEdgeError(
            f"{directory}: the teacher's task is {config.task}; expected {task}; take a teacher "
            f"of that, or train with --task {config.task}"
        )
    tokenizer_json = checkpoint.tokenizer_path.read_text(encoding="utf-8")
    tokenizer = TextTokenizer(tokenizer_json, config.text.max_position_embeddings)
    return checkpoint.model.to(device), tokenizer


def notice_of(options: TrainOptions) -> str:
    """The run's own notice, and what must be known of a text encoder without pre-training."""
    notices = [options.notice] if options.notice else []
    if options.bert is None and model_config(options).uses_text:
        notices.append("The text encoder has learned from the training sentences alone.")
    return " ".join(notices)
