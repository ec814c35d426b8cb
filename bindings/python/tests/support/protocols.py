"""Protocols that several test files use."""

from __future__ import annotations

import asyncio


class Sink(asyncio.Protocol):
    """Collects what comes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class Made(list):
    """A factory of protocols, and the list of those that it has made."""

    def __init__(self, factory) -> None:
        super().__init__()
        self._factory = factory

    def __call__(self):
        self.append(self._factory())
        return self[-1]


class Pausing(asyncio.BaseProtocol):
    """Knows whether it may write, and asserts that pausing and resuming alternate."""

    paused = False
    pauses = resumes = 0

    def pause_writing(self):
        assert not self.paused
        self.paused = True
        self.pauses += 1

    def resume_writing(self):
        assert self.paused
        self.paused = False
        self.resumes += 1


class Strict(Pausing, asyncio.Protocol):
    """Keeps what comes; asserts the order of the calls."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.state = "new"
        self.data = bytearray()
        self.sizes: list[int] = []
        self.transport = None
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.made: asyncio.Future = loop.create_future()
        self.ended: asyncio.Future = loop.create_future()
        self.lost: asyncio.Future = loop.create_future()

    def connection_made(self, transport):
        assert self.state == "new"
        self.state = "made"
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data):
        assert self.state == "made"
        assert data
        self.data += data

    def eof_received(self):
        assert self.state == "made"
        self.state = "eof"
        self.ended.set_result(None)

    def pause_writing(self):
        super().pause_writing()
        assert self.state in ("made", "eof")
        self.sizes.append(self.transport.get_write_buffer_size())
        self.can_write.clear()

    def resume_writing(self):
        super().resume_writing()
        self.sizes.append(self.transport.get_write_buffer_size())
        self.can_write.set()

    def connection_lost(self, exc):
        assert self.state in ("made", "eof")
        self.state = "lost"
        self.lost.set_result(exc)


class Recorder(Pausing, asyncio.Protocol):
    """Writes down every call, and answers questions about them."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.keep_open = keep_open
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        assert not self.calls
        self.calls.append("made")
        self.transport = transport

    def data_received(self, data):
        assert type(data) is bytes
        assert data
        assert "eof" not in self.calls
        assert "lost" not in self.calls
        if self.calls[-1] != "data":
            self.calls.append("data")
        self.data += data

    def eof_received(self):
        self.calls.append("eof")
        self.ended.set_result(None)
        return self.keep_open

    def pause_writing(self):
        super().pause_writing()
        self.calls.append("pause")

    def resume_writing(self):
        super().resume_writing()
        self.calls.append("resume")

    def connection_lost(self, exc):
        assert "lost" not in self.calls
        self.calls.append("lost")
        self.lost.set_result(exc)
