"""The chain of graphs, on arithmetic that NumPy repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mer_edge.bundle import GRAPHS, MANIFEST, Bundle
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from runtime.backend import LoadedGraph, open_backend
from runtime.chain import Chain
from runtime.texts import Texts
from tests.runtime.bundles import ABSENT_TEXT, expected_logits, make_bundle, make_clip


class CountingGraph:
    """Passes on to a real graph and keeps the shapes of what it was fed."""

    def __init__(self, graph: LoadedGraph) -> None:
        self._graph = graph
        self.fed: list[dict[str, tuple[int, ...]]] = []
        self.engine_name = graph.engine

    @property
    def engine(self) -> str:
        return self.engine_name

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.fed.append({name: array.shape for name, array in feeds.items()})
        return self._graph.run(feeds)


def load_chain(path: Path) -> tuple[Chain, dict[str, CountingGraph]]:
    bundle = Bundle.load(path)
    backend = open_backend("cpu", bundle, 1)
    graphs = {
        name: CountingGraph(backend.load(bundle.graph_path(name), bundle.manifest.graphs[name]))
        for name in GRAPHS
        if name in bundle.manifest.graphs
    }
    return Chain(bundle, graphs, Texts(bundle)), graphs


@pytest.fixture
def chain_and_graphs(bundle_path: Path) -> tuple[Chain, dict[str, CountingGraph]]:
    return load_chain(bundle_path)


def close(actual: NDArray[Any], expected: Any) -> None:
    # The engine adds up the 15,600 equal samples of a segment in fp32, which loses 3e-5.
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_all_three_modalities(chain_and_graphs: tuple[Chain, dict[str, CountingGraph]]) -> None:
    chain, _ = chain_and_graphs
    output = chain.run([make_clip("good day", [0.25, 0.75], [51, 102])])
    # ids 2 + 4 + 6 + 3 = 15, four tokens; means 0.5 and 0.3
    close(output.decisions, [[[0.5, 15], [0.3, 4], [15, 4]]])
    close(output.weights, [[1 / 3, 1 / 3, 1 / 3]])
    close(output.logits, [[15.8 / 3, 23 / 3]])
    assert output.engine == "onnxruntime CPUExecutionProvider"
    assert output.notes == (None,)
    assert list(output.timings_ms) == ["tokenize", "text", "audio", "visual", "fusion"]
    assert all(spent > 0 for spent in output.timings_ms.values())


def test_what_is_absent_does_not_run(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, graphs = chain_and_graphs
    output = chain.run([make_clip(None, [0.5, None, 0.25], [None, None, 51])])
    assert graphs["text"].fed == []
    assert graphs["audio"].fed == [{"waveform": (2, 15_600), "text": (2, 2)}]
    assert graphs["visual"].fed == [{"faces": (1, 224, 224, 3), "text": (1, 2)}]
    close(output.weights, [[0.5, 0.5, 0]])
    close(output.decisions[0, :2], [[0.375, ABSENT_TEXT[0]], [0.2, ABSENT_TEXT[1]]])
    chain.run([make_clip("bad day", [None], [None])])
    assert len(graphs["text"].fed) == 1
    assert len(graphs["audio"].fed) == len(graphs["visual"].fed) == 1


SUBSETS = [subset for size in (1, 2, 3) for subset in combinations("avt", size)]


@pytest.mark.parametrize("tokens", [False, True])
def test_every_subset_in_one_batch_is_as_alone(tmp_path: Path, tokens: bool) -> None:
    chain, _ = load_chain(
        make_bundle(tmp_path / "bundle", tokens=tokens, max_batch=7, max_tokens=9)
    )
    clips = [
        make_clip(
            " ".join(["good"] * (number + 1)) if "t" in subset else None,
            [0.1 * number if "a" in subset else None] * (number % 3 + 1),
            [30 * number if "v" in subset else None] * (number % 3 + 1),
        )
        for number, subset in enumerate(SUBSETS)
    ]
    together = chain.run(clips)
    for row, clip in enumerate(clips):
        alone = chain.run([clip])
        close(together.logits[row], alone.logits[0])
        close(together.weights[row], alone.weights[0])
        if not tokens:
            close(together.logits[row], expected_logits(clip))


def test_encoders_that_take_tokens(tmp_path: Path) -> None:
    chain, graphs = load_chain(make_bundle(tmp_path / "bundle", tokens=True))
    output = chain.run([make_clip("good"), make_clip(None), make_clip("good bad day")])
    shapes = {"waveform": (4, 15_600), "tokens": (4, 5, 2), "token_mask": (4, 5)}
    assert graphs["audio"].fed[0] == shapes
    # The masked mean of [id, 1] over 2 4 3, over the stand-in alone, over 2 4 5 6 3.
    close(output.decisions[:, 0, 1], [3, ABSENT_TEXT[0], 4])
    close(output.decisions[:, 1, 1], [1, ABSENT_TEXT[1], 1])


def test_long_clips_run_in_pieces(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, graphs = chain_and_graphs  # 4 segments a run, 6 a clip
    audio = [0.1, 0.2, None, 0.4, 0.5, 0.6]
    clips = [make_clip("day", audio, [51] * 6), make_clip(None, audio[:4], [None] * 4)]
    output = chain.run(clips)
    assert [fed["waveform"][0] for fed in graphs["audio"].fed] == [4, 4]
    assert [fed["faces"][0] for fed in graphs["visual"].fed] == [4, 2]
    for row, clip in enumerate(clips):
        close(output.logits[row], expected_logits(clip))


@pytest.mark.parametrize("tokens", [False, True])
def test_what_the_stem_gives_outlives_a_change_of_the_text(tmp_path: Path, tokens: bool) -> None:
    chain, graphs = load_chain(make_bundle(tmp_path / "bundle", stem=True, tokens=tokens))
    texts = ("good day", "bad")
    clips = [make_clip(text, [0.25, None, 0.75], [51, 102, None]) for text in texts]
    whole = [chain.run([clip]) for clip in clips]
    assert len(graphs["visual_stem"].fed) == len(graphs["visual"].fed) == 2
    masks = {"audio": clips[0].audio_present[None], "visual": clips[0].face_present[None]}
    signals = {"audio": clips[0].waveform, "visual": clips[0].faces}
    prepared = {name: chain.prepare_segments(name, signals[name][masks[name][0]]) for name in masks}
    for clip, expected in zip(clips, whole, strict=True):
        text = chain.encode_texts([clip])
        features = {
            name: chain.place(
                name, chain.encode_segments(name, prepared[name], text, np.zeros(2, int)), mask
            )
            for name, mask in masks.items()
        }
        output = chain.fuse(features, masks, text)
        for name in ("logits", "decisions", "weights"):
            np.testing.assert_array_equal(getattr(output, name), getattr(expected, name))
    assert graphs["visual_stem"].fed == [{"faces": (2, 224, 224, 3)}] * 3  # one for both texts
    assert len(graphs["visual"].fed) == 4
    assert whole[0].decisions[0, 1, 0] == pytest.approx(0.3)


def test_a_graph_in_two_gives_what_it_gives_as_one(tmp_path: Path) -> None:
    one, _ = load_chain(make_bundle(tmp_path / "one"))
    two, graphs = load_chain(make_bundle(tmp_path / "two", stem=True))
    clips = [
        make_clip("day", [0.1, None, 0.4], [51, 52, 53]),
        make_clip(None, [0.2] * 4, [None, 7, 8, None]),
    ]
    np.testing.assert_array_equal(two.run(clips).logits, one.run(clips).logits)
    assert [fed["faces"][0] for fed in graphs["visual_stem"].fed] == [4, 1]  # 4 segments a run
    assert [fed["visual_map"] for fed in graphs["visual"].fed] == [(4, 224), (1, 224)]


def test_without_a_face_neither_half_runs(tmp_path: Path) -> None:
    chain, graphs = load_chain(make_bundle(tmp_path / "bundle", stem=True))
    clip = make_clip("day", [0.1], [None])
    close(chain.run([clip]).logits[0], expected_logits(clip))
    assert graphs["visual_stem"].fed == graphs["visual"].fed == []


def test_the_stems_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, graphs = load_chain(make_bundle(tmp_path / "bundle", stem=True))
    monkeypatch.setattr(graphs["visual_stem"], "engine_name", "another engine")
    told = "onnxruntime CPUExecutionProvider"
    assert chain.run([make_clip("day", [0.1], [None])]).engine == told
    assert chain.run([make_clip("day", [0.1], [51])]).engine == f"{told} + another engine"


@pytest.mark.parametrize("stem", [False, True])
def test_inputs_may_be_in_any_order(tmp_path: Path, stem: bool) -> None:
    path = make_bundle(tmp_path / "bundle", stem=stem)
    clip = make_clip()
    manifest = json.loads((path / MANIFEST).read_text())
    for spec in manifest["graphs"].values():
        spec["inputs"].reverse()
    (path / MANIFEST).write_text(json.dumps(manifest))
    chain, _ = load_chain(path)
    close(chain.run([clip]).logits[0], expected_logits(clip))


def test_a_clip_that_is_too_long(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, graphs = chain_and_graphs
    with pytest.raises(
        MerEdgeError, match=r"clip\.mp4: 7 segments \(6\.7 s\); .* at most 6 \(5\.8"
    ):
        chain.run([make_clip("day", [0.1] * 7, [1] * 7)])
    assert graphs["text"].fed == []


def test_more_clips_than_the_bundle_takes(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, _ = chain_and_graphs
    for count in (0, 4):
        with pytest.raises(MerEdgeError, match=f"{count} clips at once; expected 1 to 3"):
            chain.run([make_clip()] * count)


def test_long_text_is_cut_and_told(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, graphs = chain_and_graphs  # 8 tokens at most
    output = chain.run([make_clip("good " * 5000), make_clip("good"), make_clip(None)])
    assert graphs["text"].fed[0]["input_ids"] == (2, 8)
    assert output.notes[0] is not None
    assert "5002 tokens" in output.notes[0]
    assert output.notes[1:] == (None, None)
    close(output.decisions[0, 2], [2 + 6 * 4 + 3, 8])


def test_short_text_is_padded_to_what_the_graph_takes(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, graphs = chain_and_graphs
    chain.run([make_clip("\u200b")])  # no word: [CLS] [SEP], the range begins at 3
    assert graphs["text"].fed[0]["input_ids"] == (1, 3)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_text_is_refused(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]], text: str
) -> None:
    with pytest.raises(MerEdgeError, match=r"clip\.mp4: the text is empty"):
        chain_and_graphs[0].run([make_clip(text)])


def test_what_is_not_finite_is_refused(
    chain_and_graphs: tuple[Chain, dict[str, CountingGraph]],
) -> None:
    chain, _ = chain_and_graphs
    clip = make_clip("day", [3e38, 3e38])
    with pytest.raises(MerEdgeError, match=r"clip\.mp4: the network's logits are not finite"):
        chain.run([make_clip(), clip])


@st.composite
def batches(draw: st.DrawFn) -> list[Clip]:
    def clip() -> Clip:
        segments = draw(st.integers(1, 6))
        some = st.one_of(st.none(), st.floats(-1, 1, width=32))
        grey = st.one_of(st.none(), st.integers(0, 255))
        words = st.lists(st.sampled_from(["good", "bad", "day", "unheard"]), min_size=1, max_size=6)
        return make_clip(
            draw(st.one_of(st.none(), words.map(" ".join))),
            draw(st.lists(some, min_size=segments, max_size=segments)),
            draw(st.lists(grey, min_size=segments, max_size=segments)),
        )

    found = [clip() for _ in range(draw(st.integers(1, 3)))]
    return [c for c in found if c.has_audio or c.has_face or c.text] or [make_clip()]


@settings(max_examples=25, deadline=None)
@given(batches())
def test_any_batch_gives_what_the_arithmetic_gives(clips: list[Clip]) -> None:
    chain = _shared_chain()
    output = chain.run(clips)
    for row, clip in enumerate(clips):
        close(output.logits[row], expected_logits(clip))
        assert output.weights[row].sum() == pytest.approx(1)
        there = [clip.has_audio, clip.has_face, clip.text is not None]
        assert (output.weights[row] > 0).tolist() == there


_CHAINS: list[Chain] = []


@pytest.fixture(autouse=True)
def _share(bundle_path: Path) -> None:
    if not _CHAINS:
        _CHAINS.append(load_chain(bundle_path)[0])


def _shared_chain() -> Chain:
    return _CHAINS[0]
