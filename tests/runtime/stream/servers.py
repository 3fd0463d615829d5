"""Sources on this machine: an HTTP server that may break off, a pipe, and a UDP sender."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av

PIECE = 188 * 20
"""Bytes at a time: 20 packets of MPEG-TS."""


def remuxed(path: Path, target: Path) -> bytes:
    """A file's packets in another container, as the name of ``target`` says."""
    with av.open(str(path)) as source, av.open(str(target), "w") as sink:
        streams: dict[int, Any] = {
            stream.index: sink.add_stream_from_template(stream) for stream in source.streams
        }
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                sink.mux(packet)
    return target.read_bytes()


class Server:
    """Gives each connection the next of ``answers``; refuses when there is none left."""

    def __init__(self, answers: list[bytes], seconds: float) -> None:
        self.connections = 0
        self._answers = answers
        self._seconds = seconds

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.connections += 1
        if not self._answers:
            handler.send_error(503)
            return
        data = self._answers.pop(0)
        handler.send_response(200)
        handler.end_headers()
        pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
        for piece in pieces:
            try:
                handler.wfile.write(piece)
            except OSError:  # who asked has gone
                return
            time.sleep(self._seconds / len(pieces))


@contextmanager
def serving(answers: list[bytes], seconds: float) -> Iterator[tuple[str, Server]]:
    """A URL whose connections end after ``seconds``, without a word of how much there is."""
    server = Server(answers, seconds)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}/live.ts", server
        listener.shutdown()


@contextmanager
def silent_after(answers: list[bytes]) -> Iterator[str]:
    """A URL that gives each connection the next of ``answers`` and then says nothing more.

    There are no connections after these.
    """
    over = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            taken = []
            for data in answers:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    break
                taken[-1].recv(65536)
                taken[-1].sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)
            listener.close()
            over.wait()
            for connection in taken:
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/live.ts"
        over.set()


@contextmanager
def hosting(files: dict[str, bytes]) -> Iterator[str]:
    """An address below which files are, each with its size."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files[self.path.lstrip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # who asked has gone
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()


@contextmanager
def piped(folder: Path, data: bytes) -> Iterator[Path]:
    """A named pipe that somebody writes ``data`` into."""
    path = folder / "pipe"
    os.mkfifo(path)

    def write() -> None:
        try:
            path.write_bytes(data)
        except OSError:  # who read has gone
            return

    threading.Thread(target=write, daemon=True).start()
    yield path
