"""Streams and events: what runs in order, and who waits for whom."""

from __future__ import annotations

from runtime.cuda.cudart import Cuda


class Event:
    """A point in a stream. Recording it again moves it."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self.handle = cuda.new_event()

    def synchronize(self) -> None:
        """Wait on the host."""
        self._cuda.synchronize(self.handle)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._cuda.destroy_event(self.handle)


class Stream:
    """Work of the GPU that runs in order, beside that of other streams. It lives for ever.

    Attributes:
        name: for messages.
    """

    def __init__(self, cuda: Cuda, name: str) -> None:
        self._cuda = cuda
        self.name = name
        self.handle = cuda.new_stream()

    def record(self, event: Event) -> None:
        """``event`` is when all that is on this stream now is done."""
        self._cuda.record(event.handle, self.handle)

    def wait(self, event: Event) -> None:
        """What comes next on this stream starts after ``event``."""
        self._cuda.wait(self.handle, event.handle)

    def copy(self, target: int, source: int, size_bytes: int) -> None:
        """From one place on the GPU to another."""
        self._cuda.copy(target, source, size_bytes, self.handle)

    def copy_in(self, device: int, host: int, size_bytes: int) -> None:
        """From page-locked memory to the GPU."""
        self._cuda.copy_in(device, host, size_bytes, self.handle)

    def copy_out(self, host: int, device: int, size_bytes: int) -> None:
        """From the GPU to page-locked memory."""
        self._cuda.copy_out(host, device, size_bytes, self.handle)

    def clear(self, device: int, size_bytes: int) -> None:
        """Zeros."""
        self._cuda.clear(device, size_bytes, self.handle)

    def synchronize(self) -> None:
        """Wait on the host for all that is on it."""
        self._cuda.synchronize_stream(self.handle)
