"""The build's child process: whatever ends it is one message, and nothing half made remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from export.tensorrt.engines import BuildOptions, build_engines, describe_device
from mer_edge.bundle import GRAPHS, Bundle
from tests.export.tensorrt.conftest import BUNDLE


def entries(fake):
    """Everything in the cache but locks."""
    if not fake.cache.exists():
        return []
    return sorted(p.name for p in fake.cache.iterdir() if p.suffix != ".lock")


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("abort", ["building the graph text", "crashed with SIGABRT", "nvinfer1::Oops"]),
        ("segv", ["building the graph text", "crashed with SIGSEGV"]),
        ("kill", ["building the graph text", "SIGKILL", "memory", "--workspace-mb"]),
        ("null", ["cannot build an engine of the graph text", "for node conv_3"]),
        ("refuse", ["node node_conv_3 (Conv): Assertion failed: zero point must be 0"]),
        ("full", ["the disk is full while writing the engine", "--cache"]),
        ("exception", ["ended with exit code 1", "RuntimeError: this is unforeseen"]),
    ],
)
def test_how_a_build_can_fail(does, told, fake, mer_edge_build, capfd):
    fake("10.13.2", does=does)
    assert mer_edge_build("--quiet") == 2
    error = capfd.readouterr().err
    for part in told:
        assert part in error
    assert error.count("\n") == 1
    assert entries(fake) == []
    fake("10.13.2")
    assert mer_edge_build("--quiet") == 0
    assert len(fake.builds) == len(GRAPHS)


def start(fake, *options):
    """The command in a process of its own, while a build of its child sleeps."""
    program = (
        f"import signal, sys; sys.path[:] = {sys.path!r}; "
        # Where the tests run under nohup it is ignored, and a process inherits that.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from mer_edge.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "build", str(BUNDLE), "--device", "tensorrt"]
    process = subprocess.Popen(
        [*command, "--cache", str(fake.cache), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process


def child_of(fake):
    """The process that sleeps, once it does."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if fake.log.exists():
            for line in fake.log.read_text().splitlines():
                if line.startswith("sleeping"):
                    return int(line.split()[1])
        time.sleep(0.02)
    raise AssertionError("no build has begun")


def is_gone(pid):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # ended, and nobody has asked for its exit code yet
            return True
        time.sleep(0.02)
    return False


def test_an_error_of_whoever_watches_ends_the_child(fake):
    fake("10.13.2", does="sleep60")
    options = BuildOptions("tensorrt", fake.cache)
    device = describe_device(options)

    def watch(graph, phase, done, steps):
        child_of(fake)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(build_engines(Bundle.load(BUNDLE), device, options, watch))
    assert is_gone(child_of(fake))
    assert entries(fake) == []


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_ctrl_c_ends_the_child_and_leaves_nothing(fake):
    fake("10.13.2", does="sleep60")
    process = start(fake)
    child = child_of(fake)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and child
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "interrupted"
    assert "Traceback" not in error
    assert is_gone(child)
    assert entries(fake) == []


@linux
def test_kill_9_ends_the_child_and_the_next_build_cleans_up(fake, mer_edge_build):
    fake("10.13.2", does="sleep60")
    process = start(fake)
    child = child_of(fake)
    process.kill()
    process.communicate()
    assert is_gone(child)
    (left,) = entries(fake)
    assert left.endswith(".tmp")
    fake("10.13.2")
    assert mer_edge_build("--quiet") == 0
    assert not [name for name in entries(fake) if name.endswith(".tmp")]
    assert len(fake.builds) == len(GRAPHS)


@linux
@pytest.mark.parametrize("options", [(), ("--rebuild",)])
def test_of_two_builders_one_builds_and_the_other_waits(options, fake):
    fake("10.13.2", does="sleep1.5")
    processes = [start(fake, "--json", *options) for _ in range(2)]
    outcomes = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    assert len(fake.builds) == len(GRAPHS)
    assert len([name for name in entries(fake) if not name.startswith("timing")]) == len(GRAPHS)
