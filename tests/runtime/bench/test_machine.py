"""What a machine says of itself, read from files and tools as such machines have them."""

from __future__ import annotations

from pathlib import Path

from runtime.bench.machine import clock_mhz, power_mode, processor_name, read_machine
from runtime.cores import usable_cores


def test_the_processor_is_named_on_x86_and_on_a_board(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9R14\ncpu MHz\t\t: 2596.148\n")
    assert processor_name(info) == "AMD EPYC 9R14"
    assert clock_mhz(tmp_path / "none", info) == 2596.1
    info.write_text("processor\t: 0\nBogoMIPS\t: 62.50\n\nModel\t: Raspberry Pi 5 Model B\n")
    assert processor_name(info) == "Raspberry Pi 5 Model B"
    assert clock_mhz(tmp_path / "none", info) is None


def test_cpufreq_comes_first(tmp_path: Path) -> None:
    (tmp_path / "scaling_cur_freq").write_text("1510400\n")
    assert clock_mhz(tmp_path, tmp_path / "none") == 1510.4


def test_a_jetson_s_power_mode(tmp_path: Path) -> None:
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\n[ $1 = -q ] && printf 'NV Power Mode: MAXN_SUPER\\n2\\n'\n")
    tool.chmod(0o755)
    assert power_mode(str(tool)) == "MAXN_SUPER"
    assert power_mode(str(tmp_path / "none")) is None


def test_this_machine() -> None:
    found = read_machine()
    assert found.processor
    assert found.cores == usable_cores() >= 1
    assert {"python", "mer-edge", "numpy", "onnxruntime"} <= set(found.versions)
    assert found.gpu is None
