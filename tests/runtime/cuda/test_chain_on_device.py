"""The chain on a GPU that does its work as oddly as events allow: numbers, order, copies."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from runtime.backend import open_backend
from runtime.chain import Chain
from runtime.shapes import load_graphs
from runtime.texts import EncodedText, Texts
from tests.runtime.bundles import expected_logits, make_clip
from tests.runtime.cuda.fake_tensorrt import VERSIONS

FULL = {"audio": [0.25, 0.75], "faces": [51, 102]}


def assert_right(chain, clips):
    output = chain.run(clips)
    expected = [expected_logits(clip) for clip in clips]
    np.testing.assert_allclose(output.logits, expected, atol=1e-5)
    return output


@pytest.mark.parametrize("seed", range(12))
def test_clips_of_every_kind_in_any_order_of_the_streams(rig, seed):
    """Shapes change from run to run, a run's memory is another's before; nothing may be missed."""
    chain = rig(seed=seed).chain()
    batches = [
        [make_clip("good day", **FULL)],
        [make_clip("bad", **FULL), make_clip("good good day", [0.5], [7])],
        [make_clip("bad", [0.5, None, 0.125], [None, 200, 10])],
        [make_clip(None, **FULL)],
        [make_clip("day", [None, None], [9, 8]), make_clip(None, [0.5], [None])],
        [make_clip("good day bad", [0.1] * 6, [3] * 6)],  # in parts of at most four segments
        [make_clip("good day", **FULL)],
        [make_clip("good day", [0.5, 0.25], [2, 1])],
    ]
    for clips in batches:
        assert_right(chain, clips)


@pytest.mark.parametrize("seed", range(6))
def test_all_tokens_guide_the_encoders(rig, tokens_bundle, seed):
    """Their rows lie apart in memory where the tokens are rounded up to a bucket."""
    chain = rig(bundle=tokens_bundle, seed=seed).chain()
    long = "good day bad day good bad day"  # nine tokens run as ten
    cpu = open_backend("cpu", tokens_bundle, 1)
    graphs = load_graphs(tokens_bundle, cpu)
    reference = Chain(tokens_bundle, graphs, Texts(tokens_bundle, cpu.arrays), cpu.arrays)
    for clips in (
        [make_clip(long, **FULL)],
        [make_clip(long, **FULL), make_clip("bad", [0.5, 0.25, 1.0], [1, None, 3])],
        [make_clip("good", [0.5], [None]), make_clip(None, [0.1], [5])],
    ):
        expected = reference.run(clips)
        output = chain.run(clips)
        for name in ("logits", "decisions", "weights"):
            np.testing.assert_allclose(
                getattr(output, name), getattr(expected, name), atol=1e-5, err_msg=name
            )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_tensorrt_runs_the_chain(rig, version):
    made = rig(version=version)
    chain = made.chain()
    for _ in range(3):
        output = assert_right(chain, [make_clip("good day", **FULL)])
    title = "TensorRT-RTX 1.7.1.116" if version == "rtx" else f"TensorRT {version}"
    left = " left to it" if version == "rtx" else ""
    assert output.engine == f"{title} on Orin, CUDA graphs{left}"


def test_nothing_goes_through_the_host_between_graphs(rig):
    made = rig()
    chain = made.chain()
    chain.run([make_clip("good day", **FULL)])
    made.cuda.log.clear()
    chain.run([make_clip("good day", **FULL)])
    copies = [detail for _, _, detail in made.cuda.calls("cudaMemcpyAsync")]
    sent = [size for way, size in copies if way == "in"]
    fetched = [size for way, size in copies if way == "out"]
    # Token ids and mask; two segments of sound; two faces; two masks of two and one of one.
    assert sent == [32, 32, 2 * 15600 * 4, 2 * 224 * 224 * 3, 2, 2, 1]
    assert fetched == [8, 24, 12]  # logits, decisions, weights
    names = [name for name, _, _ in made.cuda.log]
    first_fetch = next(i for i, x in enumerate(made.cuda.log) if x[2] and x[2] == ("out", 8))
    assert "cudaStreamSynchronize" not in names[:first_fetch]
    assert {"cudaMalloc", "cudaMallocHost"}.isdisjoint(names)


def test_the_encoders_have_streams_of_their_own(rig):
    made = rig(cuda_graphs=False)
    made.chain().run([make_clip("good day", **FULL)])
    text, audio, visual, fusion = (
        made.stream_of(graph) for graph in ("text", "audio", "visual", "fusion")
    )
    assert text == fusion
    assert len({text, audio, visual}) == 3
    log = made.cuda.log
    runs = {name[4:]: i for i, (name, _, _) in enumerate(log) if name.startswith("run ")}
    assert list(runs) == ["text", "audio", "visual", "fusion"]
    ready = {
        stream: next(d for n, s, d in log[runs[graph] :] if n == "cudaEventRecord" and s == stream)
        for graph, stream in (("text", text), ("audio", audio), ("visual", visual))
    }
    waits = [
        (stream, event, i)
        for i, (name, stream, event) in enumerate(log)
        if name == "cudaStreamWaitEvent"
    ]
    # Each encoder waits for the text, the fusion for both of them, and nobody for more.
    assert [(stream, event) for stream, event, _ in waits] == [
        (audio, ready[text]),
        (visual, ready[text]),
        (text, ready[audio]),
        (text, ready[visual]),
    ]
    assert waits[0][2] < runs["audio"] < waits[1][2] < runs["visual"] < waits[2][2]
    # The sound is on its way before the text is waited for.
    sent = next(i for i, (_, s, d) in enumerate(log) if s == audio and d and d[0] == "in")
    assert sent < waits[0][2]


@pytest.mark.parametrize("seed", range(8))
def test_clips_follow_each_other_without_waiting_for_results(rig, seed):
    """The next clip may not overwrite what the one before is still to be fused from."""
    made = rig(seed=seed)
    chain, arrays = made.chain(), made.backend.arrays
    clips = [make_clip("good day", [n / 8, n / 4], [n, 2 * n]) for n in range(1, 6)]
    text = chain.encode_texts(clips[:1])  # once: a new text comes after the fusion on its stream
    decided = []
    for clip in clips:
        feeds = {"text": text.vectors, "text_mask": text.present}
        for name, signal in (("audio", clip.waveform), ("visual", clip.faces)):
            prepared = chain.prepare_segments(name, signal)
            rows = chain.encode_segments(name, prepared, text, np.zeros(2, np.intp))
            mask = np.ones((1, 2), np.bool_)
            feeds |= {name: chain.place(name, rows, mask), f"{name}_mask": mask}
        decided.append(chain._graphs["fusion"].run(feeds)["logits"])
    for clip, logits in zip(clips, decided, strict=True):
        np.testing.assert_allclose(arrays.to_host(logits), [expected_logits(clip)], rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_memory_that_is_let_go_of_may_still_be_read(rig, seed):
    """Features are moved aside, fused and let go of; what is moved next may get their memory."""
    made = rig(seed=seed)
    chain, arrays = made.chain(), made.backend.arrays
    text = chain.encode_texts([make_clip("good day")])
    mask, nothing = np.array([[True, False]]), np.zeros((1, 2), np.bool_)
    visual = chain.place("visual", [], nothing)
    decided = []
    for value in range(1, 9):
        moved, _ = chain.encode_segments(
            "audio",
            [np.full((1, 15600), sample, np.float32) for sample in (value, 100)],
            text,
            np.zeros(2, np.intp),
        )
        feeds = {"text": text.vectors, "text_mask": text.present, "visual": visual}
        feeds |= {"audio": arrays.place([moved], mask), "audio_mask": mask, "visual_mask": nothing}
        decided.append(chain._graphs["fusion"].run(feeds)["decisions"])
    found = [arrays.to_host(decisions)[0, 0, 0] for decisions in decided]
    np.testing.assert_allclose(found, range(1, 9), rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_graph_gave_stays_as_it_was(rig, seed):
    """A stream keeps features of segments while the same graph runs on others."""
    made = rig(seed=seed)
    chain, to_host = made.chain(), made.backend.arrays.to_host
    clips = [make_clip("good day", [float(i) / 8], [i]) for i in range(1, 6)]
    text = chain.encode_texts(clips[:1])
    features = []
    for clip in clips:
        (signal,) = chain.prepare_segments("audio", clip.waveform)
        features += chain.encode_segments("audio", [signal], text, np.zeros(1, np.intp))
    again = chain.encode_texts([make_clip("bad bad bad")])
    mask = np.array([[True, False, True, True, True, True]])
    nothing = np.zeros_like(mask)
    fused = chain.fuse(
        {
            "audio": chain.place("audio", features, mask),
            "visual": chain.place("visual", [], nothing),
        },
        {"audio": mask, "visual": nothing},
        text,
    )
    words = [2 + 4 + 6 + 3, 4]
    np.testing.assert_allclose(fused.decisions[0], [[3 / 8, words[0]], [0, 0], words], rtol=1e-5)
    np.testing.assert_array_equal(to_host(text.vectors), [words])
    np.testing.assert_array_equal(to_host(again.vectors), [[2 + 5 * 3 + 3, 5]])
    placed = to_host(chain.place("audio", features, mask))
    np.testing.assert_allclose(placed[0, :, 0], [1 / 8, 0, 2 / 8, 3 / 8, 4 / 8, 5 / 8])


def test_rows_are_taken_and_placed_as_numpy_does(rig):
    made = rig()
    chain = made.chain()
    arrays = made.backend.arrays
    clips = [make_clip("good day"), make_clip("bad"), make_clip("day day day")]
    vectors = chain.encode_texts(clips).vectors
    values = arrays.to_host(vectors)
    for rows in ([0, 0, 0, 1, 2, 2], [2, 1, 0], [1], [0, 1, 2]):
        taken = arrays.take(vectors, np.array(rows))
        assert taken.shape == (len(rows), 2)
        np.testing.assert_array_equal(arrays.to_host(taken), values[rows])
    mask = np.array([[True, False], [True, True]])
    placed = arrays.place([vectors], mask)
    assert placed.shape == (2, 2, 2)
    np.testing.assert_array_equal(
        arrays.to_host(placed), [[values[0], [0, 0]], [values[1], values[2]]]
    )
    mixed = arrays.place([vectors, np.ones((1, 2), np.float32)], np.ones((2, 2), np.bool_))
    np.testing.assert_array_equal(mixed, [[values[0], values[1]], [values[2], [1, 1]]])


def test_memory_does_not_grow(rig):
    made = rig(seed=1)
    chain = made.chain()
    clips = [make_clip("good day", **FULL)]
    for _ in range(3):
        chain.run(clips)
    gc.collect()
    used, pinned, graphs = made.cuda.used_bytes, made.cuda.pinned_blocks, made.cuda.live_graphs
    events = len(made.cuda._events)
    for _ in range(20):
        chain.run(clips)
    assert (made.cuda.used_bytes, made.cuda.pinned_blocks) == (used, pinned)
    assert (made.cuda.live_graphs, len(made.cuda._events)) == (graphs, events)


def test_text_from_elsewhere_is_sent(rig):
    """The vectors of a batch with and without texts are put together on the host."""
    made = rig(seed=3)
    chain = made.chain()
    text = EncodedText(np.array([[3.0, 4.0]], np.float32), np.array([True]), notes=(None,))
    (rows,) = chain.encode_segments(
        "audio", list(chain.prepare_segments("audio", make_clip().waveform)), text, np.array([0, 0])
    )
    np.testing.assert_allclose(made.backend.arrays.to_host(rows), [[0.25, 3], [0.75, 3]])
