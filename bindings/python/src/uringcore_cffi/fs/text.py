"""Text files: what io.TextIOWrapper does, over a buffered file that is awaited.

Bytes are read in chunks and decoded (``_text``, of which ``_used`` characters were given out). What
tell() needs is the *snapshot*: the decoder's flags before the chunk, and the bytes that made it.
From these a position is found again as a number (``cookie.py``).

A call that fails or is cancelled half way puts its chunks back: their texts and their bytes
joined are a chunk too.
"""

from __future__ import annotations

import asyncio
import codecs
import io
import os
from typing import TYPE_CHECKING, Any

from uringcore_cffi.fs.common import AsyncFile, read_lines, to_size
from uringcore_cffi.fs.cookie import Cookie, find_place
from uringcore_cffi.fs.engine import HITS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uringcore_cffi.fs.buffered import BufferedFile

_CHUNK_BYTES = 8192
Snapshot = tuple[int, bytes]


class TextFile(AsyncFile):
    """A file of characters: what ``open(..., "r")`` and its kin give."""

    def __init__(
        self,
        buffer: BufferedFile,
        encoding: str,
        errors: str,
        newline: str | None,
        *,
        line_buffering: bool = False,
        mode: str = "r",
    ) -> None:
        """Decode and encode what a buffered file has."""
        self._buffer = buffer
        self._turn = buffer._turn
        self._encoding = encoding
        self._errors = errors
        self._line_buffering = line_buffering
        self._mode = mode
        self._is_seekable = buffer._d.seekable
        # Which ends lines have when reading: None means all kinds.
        self._line_end = "\n" if newline in (None, "\n") else newline or None
        # What "\n" is written as; None means as it is.
        self._write_newline = newline if newline in ("\r", "\r\n") else None
        self._decoder: Any = None
        self._encoder: Any = None
        if buffer._d.readable:
            self._decoder = codecs.getincrementaldecoder(encoding)(errors)
            if not newline:
                self._decoder = io.IncrementalNewlineDecoder(self._decoder, newline is None)
        if buffer._d.writable:
            self._encoder = codecs.getincrementalencoder(encoding)(errors)
            if self._is_seekable and buffer._tell() != 0:
                self._encoder.setstate(0)
        self._text = ""
        self._used = 0
        self._snapshot: Snapshot | None = None
        # The built-in cannot tell its position in the midst of its iteration; readlines() is one.
        self._is_telling = True
        self._ratio = 0.0  # bytes of a character, in the last chunk
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def __repr__(self) -> str:
        """Tell what is open."""
        return (
            f"<{type(self).__module__}.{type(self).__name__} name={self.name!r} "
            f"mode={self._mode!r} encoding={self._encoding!r}>"
        )

    # What it is

    @property
    def buffer(self) -> BufferedFile:
        """The file of bytes."""
        return self._buffer

    @property
    def name(self) -> Any:
        """What was opened: a path or a number."""
        return self._buffer.name

    @property
    def mode(self) -> str:
        """How it was opened."""
        return self._mode

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._buffer.closed

    @property
    def encoding(self) -> str:
        """The name of the encoding."""
        return self._encoding

    @property
    def errors(self) -> str:
        """What is done about what cannot be decoded or encoded."""
        return self._errors

    @property
    def line_buffering(self) -> bool:
        """Whether every line is handed over to the kernel."""
        return self._line_buffering

    @property
    def newlines(self) -> Any:
        """The kinds of line ends seen so far; None if none were, or none are looked for."""
        return getattr(self._decoder, "newlines", None)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._buffer.fileno()

    async def readable(self) -> bool:
        """Tell whether the file can be read."""
        return self._buffer.readable()

    async def writable(self) -> bool:
        """Tell whether the file can be written."""
        return await self._buffer.writable()

    async def seekable(self) -> bool:
        """Tell whether the file has positions."""
        return await self._buffer.seekable()

    async def isatty(self) -> bool:
        """Tell whether the file is a terminal."""
        return await self._buffer.isatty()

    def detach(self) -> BufferedFile:
        """Give the file of bytes away; this object can then not be used any more."""
        buffer = self._buffer
        buffer._rewind()
        buffer._pending += b"".join(self._waiting)
        self._waiting.clear()
        self._buffer = _Detached()  # type: ignore[assignment]
        return buffer

    def _check_open(self) -> None:
        if self._buffer.closed:
            raise ValueError("I/O operation on closed file.")

    def _check_readable(self) -> None:
        self._check_open()
        if self._decoder is None:
            raise io.UnsupportedOperation("not readable")

    # Reading

    async def _read_chunk(self, hint: int = 0) -> bool:
        """Decode the next bytes, behind text that was given out; tell whether there were any."""
        decoder = self._decoder
        state = decoder.getstate() if self._is_seekable else None
        data = await self._buffer._read1(max(_CHUNK_BYTES, int(self._ratio * hint)))
        text = decoder.decode(data, not data)
        self._text = text
        self._used = 0
        self._ratio = len(data) / len(text) if text else 0.0
        if state is not None:
            self._snapshot = (state[1], state[0] + data)
        return bool(data or text)

    def _forget_text(self) -> None:
        self._text = ""
        self._used = 0
        self._snapshot = None

    def _keep(self, parts: list[str], used: int, snapshots: list[Snapshot | None]) -> None:
        """Have all that was decoded be one chunk, of which ``used`` characters were given out."""
        known = [snapshot for snapshot in snapshots if snapshot is not None]
        self._text = "".join(parts)
        self._used = used
        if known:
            self._snapshot = (known[0][0], b"".join(piece for _, piece in known))

    async def read(self, size: int | None = -1, /) -> str:
        """Read ``size`` characters; less only at the end; up to the end if it is negative."""
        engine = self._buffer._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
        size = to_size(size)
        self._check_readable()
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            await self._write_waiting()
            if size >= 0:
                return await self._read(size)
            data = await self._buffer._read(-1)
            text: str = self._text[self._used :] + self._decoder.decode(data or b"", True)
            self._forget_text()
            return text
        finally:
            turn.give()

    async def _read(self, size: int) -> str:
        used, end = self._used, self._used + size
        if end <= len(self._text):
            self._used = end
            return self._text[used:end]
        parts, snapshots = [self._text], [self._snapshot]
        left = end - len(self._text)
        try:
            while left > 0 and await self._read_chunk(left):
                parts.append(self._text)
                snapshots.append(self._snapshot)
                self._used = min(left, len(self._text))
                left -= self._used
        except BaseException:
            self._keep(parts, used, snapshots)
            raise
        return "".join(parts)[used : used + size]

    async def readline(self, size: int | None = -1, /) -> str:
        """Read one line with its end, or ``size`` characters of it."""
        engine = self._buffer._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
        size = to_size(size)
        self._check_readable()
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            if self._waiting:
                await self._write_waiting()
            start = self._used
            end = self._find_end(self._text, start)
            if end < 0:
                return await self._read_long_line(size)
            if 0 <= size < end - start:
                end = start + size
            self._used = end
            return self._text[start:end]
        finally:
            turn.give()

    async def _read_long_line(self, size: int) -> str:
        """Read a line that goes on in the next chunk."""
        used = self._used
        parts, snapshots = [self._text], [self._snapshot]
        line = self._text[used:]
        try:
            while not line or not 0 <= size <= len(line):
                if not await self._read_chunk():
                    self._forget_text()
                    return line
                parts.append(self._text)
                snapshots.append(self._snapshot)
                before = len(line)
                # A line end of two characters may be split.
                look_from = max(before - 1, 0)
                line += self._text
                end = self._find_end(line, look_from)
                if end >= 0:
                    if 0 <= size < end:
                        end = size
                    self._used = end - before
                    return line[:end]
                self._used = len(self._text)
        except BaseException:
            self._keep(parts, used, snapshots)
            raise
        self._used = len(self._text) - (len(line) - size)
        if self._used < 0 or len(parts) == 1:
            self._keep(parts, used + size, snapshots)
        return line[:size]

    def _find_end(self, text: str, start: int) -> int:
        """Return the index behind the first line end, or -1."""
        if self._line_end is not None:
            found = text.find(self._line_end, start)
            return found if found < 0 else found + len(self._line_end)
        feed = text.find("\n", start)
        back = text.find("\r", start, feed if feed >= 0 else len(text))
        if back < 0:
            return feed if feed < 0 else feed + 1
        return back + 2 if feed == back + 1 else back + 1

    async def readlines(self, hint: int | None = -1, /) -> list[str]:
        """Read lines, of about ``hint`` characters together; all if it is not positive."""
        self._check_readable()
        self._is_telling = False
        lines = await read_lines(self, hint)
        self._is_telling = not lines or hint is None or hint <= 0 or sum(map(len, lines)) <= hint
        return lines

    # Writing

    async def write(self, text: Any, /) -> int:
        """Write ``text``, to the buffer first; return its length."""
        engine = self._buffer._d.engine
        engine.hits += 1
        if engine.hits > HITS_MAX:
            await engine.pause()
        if not isinstance(text, str):
            kind = "None" if text is None else type(text).__name__
            raise TypeError(f"write() argument must be str, not {kind}")
        self._check_open()
        if self._encoder is None:
            raise io.UnsupportedOperation("not writable")
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            await self._write(text)
            return len(text)
        finally:
            turn.give()

    async def _write(self, text: str) -> None:
        ends_line = self._line_buffering and ("\n" in text or "\r" in text)
        if self._write_newline is not None:
            text = text.replace("\n", self._write_newline)
        encoder = self._encoder
        state = encoder.getstate()
        data = encoder.encode(text)
        is_long = len(data) >= _CHUNK_BYTES
        try:
            if self._waiting_bytes + len(data) > _CHUNK_BYTES:
                await self._write_waiting()
            if is_long:
                await self._buffer._write(data)
        except asyncio.CancelledError:
            encoder.setstate(state)
            raise
        self._forget_text()
        if self._decoder is not None:
            self._decoder.reset()
        if not is_long:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            if self._waiting_bytes == _CHUNK_BYTES or ends_line:
                await self._write_waiting()
        if ends_line:
            await self._buffer._flush()

    async def _write_waiting(self) -> None:
        """Hand over to the buffer what is encoded; a cancellation loses none of it."""
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            try:
                await self._buffer._write(data)
            except asyncio.CancelledError:
                left = data[self._buffer._taken :]
                self._waiting.append(left)
                self._waiting_bytes = len(left)
                raise

    async def writelines(self, lines: Iterable[str], /) -> None:
        """Write each of ``lines``."""
        self._check_open()
        for line in lines:
            await self.write(line)

    async def flush(self) -> None:
        """Hand over to the kernel what is encoded and buffered."""
        self._check_open()
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            await self._flush()
        finally:
            turn.give()

    async def _flush(self) -> None:
        self._is_telling = True
        await self._write_waiting()
        await self._buffer._flush()
        if self._buffer._d.shared:
            self._buffer._d.hand_over()

    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file ``size`` bytes long, or end it where the bytes are read or written."""
        await self.flush()
        return await self._buffer.truncate(size)

    async def fsync(self) -> None:
        """Have everything written survive a crash: flush(), and then the kernel's part."""
        await self.flush()
        await self._buffer.fsync()

    async def fdatasync(self) -> None:
        """As fsync(), but of what is not data only what is needed to read it again."""
        await self.flush()
        await self._buffer.fdatasync()

    # Positions

    async def tell(self) -> int:
        """Return a number that seek() takes to come back here."""
        self._check_open()
        if not self._is_seekable:
            raise io.UnsupportedOperation("underlying stream is not seekable")
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._tell()
        finally:
            turn.give()

    async def _tell(self) -> int:
        if not self._is_telling:
            raise OSError("telling position disabled by next() call")
        await self._flush()
        return self._place()

    def _place(self) -> int:
        position = self._buffer._tell()
        if self._snapshot is None or self._decoder is None:
            return position
        flags, data = self._snapshot
        start = position - len(data)
        place = find_place(self._decoder, start, flags, data, self._used, self._ratio)
        return place.number()

    async def seek(self, cookie: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to where tell() returned ``cookie``, to the start or to the end."""
        self._check_open()
        if not self._is_seekable:
            raise io.UnsupportedOperation("underlying stream is not seekable")
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            return await self._seek(cookie, whence)
        finally:
            turn.give()

    async def _seek(self, cookie: int, whence: int) -> int:
        if whence == os.SEEK_CUR:
            if cookie != 0:
                raise io.UnsupportedOperation("can't do nonzero cur-relative seeks")
            cookie = await self._tell()
        elif whence == os.SEEK_END:
            if cookie != 0:
                raise io.UnsupportedOperation("can't do nonzero end-relative seeks")
            await self._flush()
            self._forget_text()
            if self._decoder is not None:
                self._decoder.reset()
            position = await self._buffer._seek(0, os.SEEK_END)
            self._reset_encoder(position == 0)
            return position
        elif whence != os.SEEK_SET:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if cookie < 0:
            raise ValueError(f"negative seek position {cookie!r}")
        await self._flush()
        await self._go_to(Cookie.parse(cookie))
        return cookie

    async def _go_to(self, cookie: Cookie) -> None:
        await self._buffer._seek(cookie.start, os.SEEK_SET)
        self._forget_text()
        at_start = cookie.start == 0 and cookie.flags == 0
        decoder = self._decoder
        if decoder is not None:
            if at_start:
                decoder.reset()
            else:
                decoder.setstate((b"", cookie.flags))
            data = b""
            if cookie.skip:
                data = await self._buffer._read(cookie.feed) or b""
                self._text = decoder.decode(data, cookie.at_end)
                if len(self._text) < cookie.skip:
                    raise OSError("can't restore logical file position")
                self._used = cookie.skip
            self._snapshot = (cookie.flags, data)
        self._reset_encoder(at_start)

    def _reset_encoder(self, at_start: bool) -> None:
        if self._encoder is None:
            return
        if at_start:
            self._encoder.reset()
        else:
            self._encoder.setstate(0)

    # The end

    async def close(self) -> None:
        """Write what is encoded and close the file, also if the first fails. Idempotent."""
        buffer, turn = self._buffer, self._turn
        if buffer.closed:
            return
        if turn.taken:
            await turn.wait(to_close=True)
        turn.taken = True
        try:
            try:
                if not (buffer._d.closed or buffer._d.engine.inherited):
                    await self._write_waiting()
            finally:
                await buffer._close()
        finally:
            turn.give()

    def __del__(self) -> None:
        """Write what is encoded in a file that was never closed; the descriptor warns."""
        try:
            if self._waiting and not self._buffer.closed:
                self.detach().flush_now()
        except (AttributeError, OSError, ValueError):
            pass


class _Detached:
    """What a file has whose buffer was given away."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("underlying buffer has been detached")
