import subprocess
import sys

import pytest

import mer_edge


def test_a_package_that_shadows_a_stage_is_named(tmp_path):
    (tmp_path / "train.py").write_text("x = 1\n")
    ran = subprocess.run(
        [sys.executable, "-m", "mer_edge", "train", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: the package 'train' was found at ")
    assert str(tmp_path / "train.py") in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_public_names_are_lazy_and_real():
    for name in mer_edge.__all__:
        assert getattr(mer_edge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'"):
        mer_edge.Recogniser  # noqa: B018
