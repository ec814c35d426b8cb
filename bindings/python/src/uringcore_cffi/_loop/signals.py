"""A signal always wakes the loop.

A signal may be delivered to another thread, or to this one just before it enters the kernel: in
both cases the wait would go on. So while the loop runs in the main thread, Python's C-level
handler writes a byte to a socket whose other end the ring receives from. The Python-level handler
then runs in the main thread, between two instructions, as always.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

from uringcore_cffi._handles.events import CLOSED
from uringcore_cffi._handles.fd import Fd

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop


class SignalWakeup:
    """The socket pair, and the endpoint at its receiving side."""

    def __init__(self, loop: UringEventLoop) -> None:
        self._loop = loop
        self._previous: int | None = None
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        # Numbers, not objects: a loop that is collected unclosed warns of itself, not of these.
        self._receiver, self._sender = receiver.detach(), sender.detach()
        self._fd: Fd | None = None
        try:
            self._fd = loop._attach_fileno(self._receiver, self)
        except BaseException:
            self._close()
            raise
        self._fd.recv_start()

    def _close(self) -> None:
        for number in (self._receiver, self._sender):
            if number >= 0:
                os.close(number)
        self._receiver = self._sender = -1

    @staticmethod
    def receive(numbers: bytes) -> None:
        """Take the numbers of signals that came; waking up was all they were sent for."""

    def receive_failed(self, exc: BaseException) -> None:
        """Cannot happen: receive() does nothing."""
        raise exc

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Go on receiving, whatever ended it."""
        if kind != CLOSED and self._fd is not None:
            self._fd.recv_start()

    def install(self) -> None:
        """Have signals write to the pair. Only the main thread may, and only it needs to."""
        if threading.current_thread() is threading.main_thread():
            previous = signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
            if previous != self._sender:  # ours: an interrupt kept uninstall() from its work
                self._previous = previous

    def uninstall(self) -> None:
        """Put back what was there before."""
        if self._previous is not None:
            signal.set_wakeup_fd(self._previous)
            self._previous = None

    def loop_closed(self) -> None:
        """Close both ends."""
        self._fd = None
        if threading.current_thread() is threading.main_thread():
            self.uninstall()
            # An interrupt may have kept install() from noting that it has installed us.
            current = signal.set_wakeup_fd(-1)
            if current != self._sender:
                signal.set_wakeup_fd(current)
        self._close()

    def forked(self) -> None:
        """Close the child's copies; the parent's go on."""
        self.loop_closed()
