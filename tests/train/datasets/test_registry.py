"""What holds for every data set that is known."""

import argparse
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.datasets.registry import (
    DATASETS,
    DataSet,
    DatasetOptions,
    configure_dataset,
    dataset_options,
    open_dataset,
)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("place", ["", "elsewhere", "file"])
def test_another_layout_is_one_sentence(tmp_path: Path, name: str, place: str) -> None:
    (tmp_path / "file").write_text("notes of mine")
    with pytest.raises(MerEdgeError) as caught:
        open_dataset(tmp_path / place, DatasetOptions(name))
    assert str(tmp_path) in str(caught.value)
    assert "; expected " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_arguments_say_which_data_set(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    configure_dataset(parser)
    assert dataset_options(parser.parse_args([])) == DatasetOptions()
    given = ["--dataset", "iemocap", "--split-by", "session", "--frame-rate", "2"]
    assert dataset_options(parser.parse_args(given)) == DatasetOptions("iemocap", "session", 2.0)
    with pytest.raises(MerEdgeError, match="unknown data set 'emotic'; expected one of manifest"):
        dataset_options(parser.parse_args(["--dataset", "emotic"]))


def test_nothing_is_published_of_data_of_ones_own() -> None:
    assert DataSet("manifest", [], ("happy",)).published == {}
