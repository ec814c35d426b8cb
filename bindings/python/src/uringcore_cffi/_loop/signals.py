"""Signals: they always wake the loop, and add_signal_handler() has it call for them.

A signal may be delivered to another thread, or to this one just before it enters the kernel: in
both cases the wait would go on. So Python's C-level handler writes the signal's number to a socket
whose other end the ring receives from: while the loop runs in the main thread, and as long as it
has handlers. Python-level handlers then run in the main thread, between two instructions.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import select
import signal
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._handles.events import CLOSED, RECV
from uringcore_cffi._handles.fd import Fd
from uringcore_cffi._loop.endpoint import RecordsOnly

if TYPE_CHECKING:
    from uringcore_cffi._loop.loop import UringEventLoop


# Those that are not closed; of every loop of the process.
_wakeups: weakref.WeakSet[SignalWakeup] = weakref.WeakSet()


def _on_signal(number: int, frame: Any) -> None:
    """Stand as Python's handler: the number was written, unless the socket was full."""
    for wakeup in list(_wakeups):
        wakeup.note(number)


def _set_wakeup_fd(fileno: int) -> int:
    """Have signals write there, or nowhere if it was closed; return where they did before."""
    try:
        return signal.set_wakeup_fd(fileno)
    except (ValueError, OSError):
        return signal.set_wakeup_fd(-1)


class SignalWakeup(RecordsOnly):
    """The socket pair, and the endpoint at its receiving side."""

    def __init__(self, loop: UringEventLoop) -> None:
        self._loop = loop
        self._previous: int | None = None
        # Signals that came while the socket was perhaps full.
        self._missed: set[int] = set()
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
        self._room = select.poll()
        self._room.register(self._sender, select.POLLOUT)
        _wakeups.add(self)

    def _close(self) -> None:
        for number in (self._receiver, self._sender):
            if number >= 0:
                os.close(number)
        self._receiver = self._sender = -1

    def on_record(self, following: int, kind: int, result: int, flags: int, offset: int) -> None:
        """Make the handlers of the signals that came ready; go on if receiving has ended."""
        loop = self._loop
        if kind == RECV and result > 0:
            numbers = loop._memory[offset : offset + result]
            missed = self._missed.copy()
            ready = loop._handlers_of_signals([*numbers, *missed.difference(numbers)])
            self._missed -= missed  # not all: more may have come meanwhile
            loop._ready += ready
            loop._cursor = following
        elif kind != CLOSED and self._fd is not None:
            self._fd.recv_start()

    def install(self) -> None:
        """Have signals write to the pair. Only the main thread can."""
        previous = signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
        if previous != self._sender:  # ours: an interrupt kept uninstall() from its work
            self._previous = previous

    def uninstall(self) -> None:
        """Put back what was there before, unless somebody has put something else there since."""
        if self._previous is not None and threading.current_thread() is threading.main_thread():
            current = _set_wakeup_fd(self._previous)
            if current != self._sender:
                _set_wakeup_fd(current)
            self._previous = None

    def note(self, number: int) -> None:
        """Remember a signal whose number the socket may not have had room for."""
        if number in self._loop._signal_handlers and not self._room.poll(0):
            self._missed.add(number)

    def loop_closed(self) -> None:
        """Close both ends, if signals do not go there any more or can be sent elsewhere."""
        self._fd = None
        _wakeups.discard(self)
        for other in list(_wakeups):
            if other._previous == self._sender:  # it would put back what is being closed
                other._previous = -1 if self._previous is None else self._previous
        if threading.current_thread() is threading.main_thread():
            self.uninstall()
            # An interrupt may have kept install() from noting that it has installed us.
            current = _set_wakeup_fd(-1)
            if current != self._sender:
                _set_wakeup_fd(current)
        elif self._previous is not None:
            # Only the main thread can change where Python writes. What is closed could be another
            # file by the next signal, so this pair stays open.
            return
        self._close()

    def forked(self) -> None:
        """Close the child's copies; the parent's go on."""
        self.loop_closed()


def _uninstall_in_child() -> None:
    """Keep signals of a forked child from waking the parent: the pair is the same."""
    for wakeup in list(_wakeups):
        wakeup.uninstall()


os.register_at_fork(after_in_child=_uninstall_in_child)


class SignalMethods:
    """add_signal_handler() and remove_signal_handler()."""

    _signals: SignalWakeup | None
    _signal_handlers: dict[int, asyncio.Handle]
    _in_turn: bool
    _check_closed: Callable[[], None]
    _own_thread: Callable[[], None]
    _new_handle: Callable[..., asyncio.Handle]

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        """Call ``callback(*args)`` in the loop when the signal comes, instead of an earlier one.

        Only in the main thread. A signal that comes while the loop does not run is kept for it.
        """
        if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        _check_signal(sig)
        self._check_closed()
        self._own_thread()
        handle = self._new_handle(callback, args)
        try:
            self._signal_wakeup().install()
        except (ValueError, OSError) as exc:
            raise RuntimeError(str(exc)) from exc
        self._signal_handlers[sig] = handle
        try:
            signal.signal(sig, _on_signal)
            signal.siginterrupt(sig, False)  # restart what the signal interrupts elsewhere
        except OSError as exc:
            del self._signal_handlers[sig]
            self._uninstall_signals()
            raise _uncatchable(sig, exc) from exc

    def remove_signal_handler(self, sig: int) -> bool:
        """Give the signal back its default; tell whether it had a handler here."""
        _check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as exc:
            raise _uncatchable(sig, exc) from exc
        self._uninstall_signals()
        return True

    def _handlers_of_signals(self, numbers: Iterable[int]) -> list[asyncio.Handle]:
        """Return the handlers to run for signals that came."""
        handles = []
        for number in numbers:
            handle = self._signal_handlers.get(number)
            if handle is not None and not handle.cancelled():
                handles.append(handle)
        return handles

    def _signal_wakeup(self) -> SignalWakeup:
        if self._signals is None:
            self._signals = SignalWakeup(self)  # type: ignore[arg-type]
        return self._signals

    def _install_signals(self) -> None:
        """Begin to be woken by signals; only the main thread can be, and only it needs to."""
        wakeup = self._signal_wakeup()
        if threading.current_thread() is threading.main_thread():
            wakeup.install()

    def _uninstall_signals(self) -> None:
        """Be woken no more, unless the loop runs or signals have handlers here."""
        if self._signals is not None and not self._signal_handlers and not self._in_turn:
            self._signals.uninstall()

    def _remove_signal_handlers(self) -> None:
        """Give every signal back its default: the loop is being closed."""
        if not self._signal_handlers:
            return
        if sys.is_finalizing():
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, "
                f"skipping signal handlers removal",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
            self._signal_handlers.clear()
        for sig in list(self._signal_handlers):
            self.remove_signal_handler(sig)


def _check_signal(sig: int) -> None:
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")


def _uncatchable(sig: int, exc: OSError) -> Exception:
    if exc.errno == errno.EINVAL:
        return RuntimeError(f"sig {sig} cannot be caught")
    return exc
