import numpy as np

from export.runners import Memo, Recorder, Tensors


class Doubler:
    """A runner whose only graph doubles."""

    def __init__(self) -> None:
        self.runs = 0

    def inputs(self, graph: str) -> tuple[str, ...]:
        return ("x",)

    def run(self, graph: str, feed: Tensors) -> Tensors:
        self.runs += 1
        return {"y": feed["x"] * 2}


def test_memo_runs_the_same_inputs_once():
    doubler = Doubler()
    memo = Memo(doubler)
    x = np.arange(4, dtype=np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(memo.run("double", {"x": x.copy()})["y"], [0, 2, 4, 6])
    assert doubler.runs == 1


def test_memo_tells_graphs_values_shapes_and_types_apart():
    doubler = Doubler()
    memo = Memo(doubler)
    x = np.arange(4, dtype=np.float32)
    memo.run("double", {"x": x})
    memo.run("other", {"x": x})
    memo.run("double", {"x": x + 1})
    memo.run("double", {"x": x.reshape(2, 2)})
    memo.run("double", {"x": x.view(np.int32)})
    assert doubler.runs == 5
    assert memo.inputs("double") == ("x",)


def test_recorder_keeps_inputs_and_outputs_of_what_ran():
    recorder = Recorder(Doubler())
    recorder.run("double", {"x": np.ones(2)})
    assert set(recorder.records) == {"double"}
    np.testing.assert_array_equal(recorder.records["double"]["x"], [1, 1])
    np.testing.assert_array_equal(recorder.records["double"]["y"], [2, 2])
    assert recorder.inputs("double") == ("x",)
