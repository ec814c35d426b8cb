"""The read side of a stream transport: from records to the protocol.

A record with bytes takes the short way, straight to data_received(), unless the protocol fills
its own buffers, pauses, or is still owed something earlier, or something else was ready before:
then the bytes go through the stash.
The stash holds what was received and not delivered, in order; b"" in it is the end, and so is an
OSError.

A protocol that takes leases gets each record as one: its buffer is kept instead of copied. libuc
then puts no records together, so this is switched on and off with the protocol. What arrived in
the other form before is delivered all the same, as the protocol wants it.
"""

from __future__ import annotations

import asyncio
import errno
from asyncio.log import logger
from contextvars import Context
from typing import Any, Callable

from uringcore_cffi._ffi.errors import GONE, answer_error, check_answer, result_error
from uringcore_cffi._handles.fd import Fd
from uringcore_cffi._handles.lease import Lease

# Context.run, or _run_here when the connection's context has been entered already.
_Runner = Callable[..., Any]


def _run_here(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


class ReadSide:
    """What SocketTransport does with what arrives."""

    receive: Callable[[bytes], Any] | None
    receive_lease: Callable[[Lease], Any] | None
    _loop: Any
    _protocol: Any
    _context: Context
    _fd: Fd | None
    _stash: list[Any]  # bytes, Lease, memoryview (the rest of a piece), b"" or OSError
    _buffered: bool
    _leased: bool
    _made: bool
    _paused: bool
    _closing: bool
    _eof_delivered: bool
    _close_after_eof: bool
    _fatal_error: Callable[..., None]
    _stop_receiving: Callable[[], None]
    close: Callable[[], None]

    def _choose_receiver(self) -> None:
        """Decide whether data may take the short way to data_received()."""
        self.receive = self.receive_lease = None
        if self._buffered or self._paused or self._closing or self._stash:
            return
        if self._leased:
            self.receive_lease = self._protocol.lease_received
        else:
            self.receive = getattr(self._protocol, "data_received", None)

    def _choose_leases(self, leased: bool) -> None:
        """Deliver leases from now on, or bytes."""
        if leased == self._leased:
            return
        if self._fd is not None and not self._closing:
            self._loop._own_thread()
            check_answer(self._fd.set_gather(not leased), "uc_fd_set_gather", *GONE)
        self._leased = leased

    def _lease_to(self, protocol: Any, leased: bool) -> bool:
        """Have a protocol that takes either choose; False if it is not this transport's."""
        if self._protocol is not protocol:
            return False
        self._choose_leases(leased)
        self._choose_receiver()
        return True

    def _start_reading(self) -> None:
        """Begin or go on to receive; what is in the stash comes first."""
        self._deliver_late()
        if self._paused or self._closing or self._fd is None:
            return
        self._loop._own_thread()
        answer = self._fd.recv_start()
        if answer not in (0, -errno.EALREADY, -errno.ENOTCONN):
            self._fatal_error(answer_error(answer, "uc_fd_recv_start"), "Fatal read error")
        elif answer == 0:
            self._loop._submit_outside_turn()

    def is_reading(self) -> bool:
        """Tell whether data may arrive at the protocol."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing until resume_reading(); the peer feels it when its window is full."""
        if self._closing or self._paused:
            return
        self._stop_receiving()
        self._paused = True
        self.receive = self.receive_lease = None
        if self._loop.get_debug():
            logger.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Deliver again, beginning with what had arrived when reading was paused."""
        if self._closing or not self._paused:
            return
        self._paused = False
        if self._stash:
            self._loop._call_internal(self._start_reading, context=self._context)
        elif self._made:
            self._start_reading()
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self)

    def receive_failed(self, exc: BaseException) -> None:
        """End the connection: data_received() raised, or what asyncio calls instead for TLS."""
        is_buffered = isinstance(self._protocol, asyncio.BufferedProtocol)
        name = "buffer_updated" if is_buffered else "data_received"
        name = "lease_received" if self._leased else name
        self._fatal_error(exc, f"Fatal error: protocol.{name}() call failed.")

    def _on_recv(self, following: int, result: int, flags: int, offset: int) -> None:
        if self._closing:
            return
        loop = self._loop
        direct = not self._paused and not self._stash
        if result < 0 and direct:
            self._read_failed(result_error(result))
        elif result > 0 and self._buffered and direct and loop._direct:
            self._fill_buffers(following, memoryview(loop._memory)[offset : offset + result])
        else:
            # Delivered in turn, by a step that can be taken up again.
            piece: Any = b""
            if result < 0:
                piece = result_error(result)
            elif result > 0 and self._leased:
                piece = loop._keep(following, flags, offset, result)
            elif result > 0:
                piece = loop._memory[offset : offset + result]
            handle = loop._internal_handle(self._deliver_late, (), self._context)
            self.receive = self.receive_lease = None
            loop._ready += (handle,)
            self._stash += (piece,)
            loop._cursor = following

    def _read_failed(self, exc: OSError) -> None:
        self._fatal_error(exc, "Fatal read error on socket transport")

    def _fill_buffers(self, following: int, data: memoryview) -> None:
        """Give one record's data to a BufferedProtocol, in as many pieces as its buffers need."""
        loop = self._loop
        run = self._context.run
        count = self._fill_buffer(data, run)
        if count == 0:
            return
        if count < len(data):
            handle = loop._internal_handle(self._deliver_late, (), self._context)
            loop._ready += (handle,)
            self._stash += (bytes(data[count:]),)
        loop._cursor = following
        self._buffer_updated(count, run)

    def _fill_buffer(self, data: memoryview | bytes, run: _Runner) -> int:
        """Copy as much as fits into one get_buffer(); 0: the connection has failed."""
        try:
            buffer = memoryview(run(self._protocol.get_buffer, -1))
            if not buffer.nbytes:
                raise RuntimeError("get_buffer() returned an empty buffer")
            count = min(buffer.nbytes, len(data))
            buffer.cast("B")[:count] = data[:count]
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.get_buffer() call failed.")
            return 0
        return count

    def _buffer_updated(self, count: int, run: _Runner) -> None:
        try:
            run(self._protocol.buffer_updated, count)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._fatal_error(exc, "Fatal error: protocol.buffer_updated() call failed.")

    def _deliver_late(self) -> None:
        """Deliver what could not be at once; then data may take the short way again."""
        if self._stash:
            self._deliver_stash()
        self._choose_receiver()

    def _deliver_stash(self) -> None:
        """Deliver what was received while the protocol paused. May be called again at any time."""
        stash = self._stash
        while stash and not self._paused and not self._closing:
            data = stash[0]
            if isinstance(data, OSError):
                self._read_failed(data)
            elif not data:
                self._deliver_eof()
                stash.clear()
            elif self._buffered:
                self._fill_from_stash(data)
            else:
                # A memoryview, or of the other form, if the protocol was switched half-way.
                if not self._leased:
                    data = bytes(data)
                elif not isinstance(data, Lease):
                    data = Lease(bytes(data))
                deliver = (
                    self._protocol.lease_received if self._leased else self._protocol.data_received
                )
                del stash[0]
                try:
                    deliver(data)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as exc:
                    self.receive_failed(exc)

    def _fill_from_stash(self, data: Any) -> None:
        """Give the first piece of the stash to a BufferedProtocol, or what fits of it."""
        if isinstance(data, Lease):
            data = self._stash[0] = bytes(data)
        count = self._fill_buffer(data, _run_here)
        if count == len(data):
            del self._stash[0]
        else:
            self._stash[0] = memoryview(data)[count:]
        if count:
            self._buffer_updated(count, _run_here)

    def _deliver_eof(self) -> None:
        """Call eof_received() once, and close unless it wants to go on writing."""
        if not self._eof_delivered:
            if self._loop.get_debug():
                logger.debug("%r received EOF", self)
            self._eof_delivered = self._close_after_eof = True
            try:
                keep_open = self._protocol.eof_received()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._fatal_error(exc, "Fatal error: protocol.eof_received() call failed.")
                return
            if keep_open:
                self._close_after_eof = False
        if self._close_after_eof:
            self.close()
