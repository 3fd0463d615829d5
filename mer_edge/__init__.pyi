from mer_edge.bundle import Bundle as Bundle
from mer_edge.clip import Clip as Clip
from mer_edge.clips import load_clips as load_clips
from mer_edge.errors import MerEdgeError as MerEdgeError
from mer_edge.result import Result as Result
from runtime.recognizer import Recognizer as Recognizer
from runtime.stream.stream import Stream as Stream

__version__: str
