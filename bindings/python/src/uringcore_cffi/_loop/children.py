"""Subprocesses: asyncio's own transport, and a pidfd that tells when the child has ended.

A pidfd becomes readable when its process ends, and stays so until it is waited for: no SIGCHLD
handler, no thread, and no limit on how many children may end at once. The status is read with
waitid(WNOWAIT) first and the child reaped afterwards, so that an interrupt between the two loses
nothing. Where the system has no pidfd, a thread waits for each child.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.log import logger
from typing import Any, Callable

from uringcore_cffi._loop.compat import SubprocessTransport, ThreadedChildWatcher

# What asyncio reports when somebody else has waited for the child.
_UNKNOWN_STATUS = 255


class _SubprocessTransport(SubprocessTransport):  # type: ignore[misc]
    """asyncio's, but a forked child sends its parent's program no signal.

    Until 3.12 Popen saw to that: it finds that the program is no child of its own. Since 3.13
    asyncio calls os.kill() itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._starter = os.getpid()
        super().__init__(*args, **kwargs)

    def send_signal(self, signal: int) -> None:
        if os.getpid() == self._starter:
            super().send_signal(signal)


class ChildMethods:
    """What BaseEventLoop asks for to run subprocesses."""

    _add_reader: Callable[..., Any]
    _remove_reader: Callable[[Any], bool]
    _internal_handle: Callable[..., Any]
    _ready: Any
    create_future: Callable[[], asyncio.Future[Any]]
    call_soon_threadsafe: Callable[..., Any]
    call_soon: Callable[..., Any]
    # By pidfd: who is to be told, until it has been.
    _children: dict[int, Any]

    async def _make_subprocess_transport(
        self,
        protocol: asyncio.SubprocessProtocol,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        waiter = self.create_future()
        transport = _SubprocessTransport(
            self,
            protocol,
            args,
            shell,
            stdin,
            stdout,
            stderr,
            bufsize,
            waiter=waiter,
            extra=extra,
            **kwargs,
        )
        self._watch_child(transport)
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport

    def _watch_child(self, transport: Any) -> None:
        pid = transport.get_pid()
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # reaped by somebody else already
            self.call_soon(_tell_exit, transport, _status_known_to(transport, pid))
            return
        except (AttributeError, OSError) as exc:
            self._wait_in_thread(transport, exc)
            return
        self._children[pidfd] = transport
        try:
            self._add_reader(pidfd, self._on_child_exit, pidfd, pid)
        except OSError as exc:
            del self._children[pidfd]
            os.close(pidfd)
            self._wait_in_thread(transport, exc)

    def _wait_in_thread(self, transport: Any, reason: Exception) -> None:
        pid = transport.get_pid()
        logger.debug("no pidfd (%r): a thread waits for process %d", reason, pid)
        ThreadedChildWatcher().add_child_handler(pid, self._on_thread_waited, transport)

    def _on_thread_waited(self, pid: int, returncode: int, transport: Any) -> None:
        self.call_soon_threadsafe(self.call_soon, transport._process_exited, returncode)

    def _on_child_exit(self, pidfd: int, pid: int) -> None:
        """Have the end told and the child reaped; called again until both are done."""
        transport = self._children.get(pidfd)
        if transport is None:  # told already; or reaped, and an interrupt kept this from being
            return  # cancelled in the turn in which it was due once more
        returncode = _peek(pidfd, pid, transport)
        if returncode is None:
            return
        # One turn later, so that callbacks for output that is there already come first.
        tell = self._internal_handle(_tell_exit, (transport, returncode), None)
        later = self._internal_handle(self._ready.append, (tell,), None)
        reap = self._internal_handle(self._reap, (pidfd, pid), None)
        self._ready += (reap, later)
        self._children[pidfd] = None

    def _reap(self, pidfd: int, pid: int) -> None:
        """Wait for a child whose end is told; may be done again after an interrupt."""
        if pidfd not in self._children:
            return  # done already: the number may be another file's by now
        try:
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            logger.debug("process %d was waited for already", pid)
        self._remove_reader(pidfd)
        del self._children[pidfd]
        os.close(pidfd)

    def _forget_children(self) -> None:
        """Watch no more: the loop is closed, or belongs to another process."""
        while self._children:
            pidfd, _ = self._children.popitem()
            os.close(pidfd)


def _tell_exit(transport: Any, returncode: int) -> None:
    """Tell the transport, once."""
    if transport.get_returncode() is None:
        transport._process_exited(returncode)


def _peek(pidfd: int, pid: int, transport: Any) -> int | None:
    """Return the exit code of a child that has ended, without reaping it; None: it has not."""
    try:
        status = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return _status_known_to(transport, pid)
    if status is None:
        return None
    return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status


def _status_known_to(transport: Any, pid: int) -> int:
    """Return the exit code of a child that somebody else has reaped."""
    process = transport.get_extra_info("subprocess")
    if process is not None and process.returncode is not None:
        return int(process.returncode)  # it was transport.close() that looked
    logger.warning(
        "child process pid %d exit status already read:  will report returncode 255", pid
    )
    return _UNKNOWN_STATUS
