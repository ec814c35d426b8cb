"""UringEventLoop: construction, the turn, forks, threads, the end."""

from __future__ import annotations

import errno
import itertools
import socket
import threading
import weakref
from asyncio.log import logger
from typing import TYPE_CHECKING, Any, Callable

from uringcore_cffi._ffi.errors import check_answer
from uringcore_cffi._handles.fd import CLOSE_ABORT, CLOSE_KEEP, CLOSE_NOW, Fd
from uringcore_cffi._handles.lease import Lease
from uringcore_cffi._handles.lending import Leases
from uringcore_cffi._handles.pool import Pool, PoolStats
from uringcore_cffi._handles.ring import Info, Ring, Stats
from uringcore_cffi._loop.children import ChildMethods
from uringcore_cffi._loop.dispatch import discard, dispatch, dispatch_debug
from uringcore_cffi._loop.endpoint import Endpoint
from uringcore_cffi._loop.forking import ForkMethods, forget_at_fork
from uringcore_cffi._loop.internals import MissingInternals
from uringcore_cffi._loop.leasing import LeaseMethods
from uringcore_cffi._loop.making import MakingMethods
from uringcore_cffi._loop.names import NameMethods
from uringcore_cffi._loop.readiness import Readiness, ReadinessMethods
from uringcore_cffi._loop.scheduler import Scheduler
from uringcore_cffi._loop.sendfile import SendfileMethods
from uringcore_cffi._loop.servers import Listener, ServerMethods
from uringcore_cffi._loop.signals import SignalMethods, SignalWakeup
from uringcore_cffi._loop.socket_endpoint import SocketEndpoint
from uringcore_cffi._loop.sockets import SWEEP_MIN_SOCKETS, SocketMethods
from uringcore_cffi._loop.telling import tell_reason
from uringcore_cffi.transports.base import SocketOwner
from uringcore_cffi.transports.datagram import DatagramTransport
from uringcore_cffi.transports.stream import SocketTransport

if TYPE_CHECKING:
    from uringcore_cffi._handles.events import Record

# Longest sleep, in seconds; as asyncio's MAXIMUM_SELECT_TIMEOUT.
_SLEEP_MAX = 24 * 3600


class UringEventLoop(  # type: ignore[misc]  # stricter than asyncio about callbacks
    SocketMethods,
    LeaseMethods,
    SendfileMethods,
    ReadinessMethods,
    SignalMethods,
    ChildMethods,
    ForkMethods,
    ServerMethods,
    MakingMethods,
    Scheduler,
    NameMethods,
    MissingInternals,
):
    """An asyncio event loop on io_uring, or on epoll where io_uring is refused.

    ``backend`` is "uring", "epoll", or "auto" (None is the same): what the environment variable
    UC_BACKEND says, else io_uring where it works, else epoll. info() tells which it is, and why.

    ``sq_entries`` and ``cq_entries`` size the two queues, ``features_off`` is a mask of kernel
    features not to use, ``pool`` is where to receive into; the defaults are right for nearly
    everyone. Raise OSError, with the knob's name, where what was asked for is
    refused.

    ``sqpoll`` ("off", "try" or "require") asks for a kernel thread that submits in our place. It
    stays awake for ``sqpoll_idle_ms`` after the last submission (0 means 1000) and on CPU
    ``sqpoll_cpu`` (None: any). It keeps the credentials that the process has when the loop is
    made: drop privileges before. It pays on a machine with a CPU to spare for it, else it costs.

    ``busy_poll_us`` (0 to 1000) is how long a wait looks for completions before it sleeps: with
    few connections and quick peers answers come sooner and cost less; it takes a CPU from others
    meanwhile. Waits that find nothing soon stop looking. stats() counts both. Only on io_uring.

    ``credit_bytes`` (0 means 1 MiB) is how much of a connection may be given out in one turn plus
    leased, before receiving rests until leases come back; ``quarantine_ms`` (None means 5) is how
    long a buffer rests after its lease. See credit(), set_credit() and Lease.

    ``send_zero_copy`` is from how many bytes on (None or 0: never) the bytes given to a transport's
    write() are not copied into the kernel: the network card reads them where they are. It pays
    with a real network, from some 10 KiB on (less than 16 KiB is copied anyway). To peers on this
    machine, and where the kernel reports that it copies all the same, it is left off. What
    was sent so holds a closing connection until the peer has acknowledged it; abort() resets the
    connection instead. stats() counts. Only on io_uring.

    ``restrict="network"`` has the kernel refuse everything that is not network I/O on this ring,
    whoever submits it. All methods work; sendfile() then reads files as asyncio does, in a
    thread. What the process does without the ring is not restricted.
    """

    _closed = True  # until there is a ring: __del__ must not complain of half a loop

    def __init__(
        self,
        *,
        sq_entries: int = 0,
        cq_entries: int = 0,
        sqpoll: str = "off",
        sqpoll_idle_ms: int = 0,
        sqpoll_cpu: int | None = None,
        restrict: str | None = None,
        features_off: int = 0,
        pool: Pool | None = None,
        backend: str | None = None,
        busy_poll_us: int = 0,
        credit_bytes: int = 0,
        quarantine_ms: float | None = None,
        send_zero_copy: int | None = None,
    ) -> None:
        """Make a loop; any thread may run it later."""
        super().__init__()
        self._closed = True
        self._own_pool: Pool | None = None
        if quarantine_ms is not None:
            if pool is not None:
                raise ValueError("quarantine_ms is the pool's: pass it to Pool.new()")
            pool = self._own_pool = Pool.new(quarantine_ms=quarantine_ms)
        self._ring = Ring(
            sq_entries=sq_entries,
            cq_entries=cq_entries,
            sqpoll=sqpoll,
            sqpoll_idle_ms=sqpoll_idle_ms,
            sqpoll_cpu=sqpoll_cpu,
            restrict=restrict,
            features_off=features_off,
            pool=pool,
            backend=backend,
            busy_poll_us=busy_poll_us,
            credit_bytes=credit_bytes,
            zero_copy_bytes=send_zero_copy or 0,
        )
        # What was lent out and not given back yet; None before the first lease.
        self._leases: Leases | None = self._ring.pool.leases
        self._wait = self._ring.wait
        self._memory: Any = self._ring.pool.memory
        self._in_turn = False  # what is submitted leaves at the end of the turn by itself
        # The batch of records and the position in it (see dispatch.py).
        self._batch: list[Record] = []
        self._cursor = 0
        self._direct = True  # nothing was ready before: data goes to protocols at once
        self._next_cookie: Callable[[], int] = itertools.count(1).__next__
        self._endpoints: dict[int, Endpoint] = {}  # by cookie
        self._transports: dict[int, Any] = {}  # by descriptor, not closing
        self._sockets: dict[int, SocketEndpoint] = {}  # by descriptor, the user's own
        self._sweep_at = SWEEP_MIN_SOCKETS
        self._listeners: dict[int, Listener] = {}  # by descriptor
        self._inherited: dict[int, Endpoint] = {}
        self._signals: SignalWakeup | None = None
        self._signal_handlers = {}
        self._children = {}
        self._leading: Readiness | None = None  # whom to wait in, instead of in the ring
        self._unix_server_sockets = {}
        self._direct_writers = weakref.WeakSet()  # asyncio's own transports, which write themselves
        self._freed_with_it: list[Callable[[], None]] = []
        self._final_stats: Stats | None = None
        self._settled = False  # at the end: the kernel has let go of everything
        self._info = self._ring.info()
        tell_reason(self._info, was_asked_for=self._ring.wants_sqpoll)
        self._closed = False
        forget_at_fork(self)

    # What the loop tells of itself

    def stats(self) -> Stats:
        """Return the ring's counters; of a closed loop, those of its last moment."""
        return self._final_stats or self._ring.stats()

    def pool_stats(self) -> PoolStats:
        """Return the counters of the pool that the loop receives into.

        ``leased`` buffers are the program's, those in ``quarantine`` were and rest.
        """
        self._check_closed()
        self._give_back_now()
        return self._ring.pool.stats()

    def info(self) -> Info:
        """Return which backend and kernel features are in use, and why others are not."""
        return self._info

    # Running

    def run_forever(self) -> None:
        """Run until stop() is called."""
        self._check_closed()
        self._check_running()
        try:
            self._begin_run()
            super().run_forever()
        finally:
            self._end_run()

    if TYPE_CHECKING:

        def _check_running(self) -> None: ...

    def _begin_run(self) -> None:
        self._woken = False  # an interrupt may have cut off the turn that got up
        try:
            self._ring.enable()
        except ChildProcessError:
            self._after_fork()
        if self._leases is not None:
            self._leases.thread = threading.get_ident()
        if not self._batch:
            self._cursor = 0
            self._batch = self._ring.recover()
            self._ring.taken()
        self._install_signals()
        self._in_turn = True

    def _end_run(self) -> None:
        self._in_turn = False
        leases = self._leases
        if leases is not None:
            leases.thread = None
            if leases and not self._batch:  # else a lease may be of a record that comes again
                leases.settle()
            leases.asleep = False
        self._uninstall_signals()
        try:
            if self._leading is not None:
                self._leading.step_down()
            self._ring.flush()
        except ChildProcessError:
            # Forked inside a callback: the next run starts anew.
            logger.debug("%r ended in a forked child", self)

    def _run_once(self) -> None:
        """Take one turn: submit and wait, hand out records, run what is ready."""
        if self._batch:
            self._dispatch()  # what an interrupt left over
        if self._timer_cancelled_count:
            self._clean_timers()
        heap = self._scheduled
        if self._ready or self._stopping:
            timeout_ns = 0
        elif heap:
            delay = heap[0][0] - self.time()
            # Rounded up: waking too early would cost a turn.
            timeout_ns = int(min(delay, _SLEEP_MAX) * 1e9) + 1 if delay > 0 else 0
        else:
            timeout_ns = -1
        leading = self._leading
        leases = self._leases
        if leases is not None and (leases.fresh or leases.out):
            leases.settle()
        wait = self._wait  # by name first: an attribute that is called at once is looked up slowly
        count = wait(timeout_ns if leading is None else 0)
        self._woken = False
        if leases is not None:
            leases.asleep = leading is not None and not count
        if count:
            self._take(count)
        if leading is not None and self._leading is leading:  # not in a child forked just now
            leading.wait(timeout_ns, count)
            if leases is not None:
                leases.asleep = False
        if heap:
            self._ready_due_timers()
        self._run_ready()

    def _take(self, count: int) -> None:
        """Hand out the batch that the wait has brought."""
        ring = self._ring
        try:
            records = ring.records(count)
        except ChildProcessError:
            self._after_fork()
            return
        self._cursor = 0
        self._batch = records
        ring.taken()
        self._dispatch()

    def _dispatch(self) -> None:
        self._direct = not self._ready
        if self._debug:
            dispatch_debug(self)
        else:
            dispatch(self)
        self._batch = []

    def _own_thread(self) -> None:
        """Have the ring obey this thread, if the loop does not run and ran in another before.

        In a forked child nothing is done: whatever is asked next is answered for that.
        """
        if not self._in_turn:
            try:
                self._ring.enable()
            except ChildProcessError:
                return

    def _submit_outside_turn(self) -> None:
        """Have what was just asked for leave now, if no turn is near to take it along."""
        if not self._in_turn:
            self._ring.flush()

    def _write_to_self(self) -> None:
        """Wake the loop; any thread, also while another closes the loop.

        Until it gets up, nobody needs to wake it again: what is in ``_ready`` by then is seen,
        because the loop notes that it is up before it looks there.
        """
        with self._wake_lock:
            if not self._closed:
                try:
                    self._woken = True
                    self._ring.wake()
                except BaseException:
                    self._woken = False
                    raise

    # Descriptors

    def _attach_fileno(self, fileno: int, endpoint: Endpoint, *, datagram: bool = False) -> Fd:
        """Give a descriptor to the ring; its records go to ``endpoint``."""
        self._check_closed()
        self._release_fileno(fileno)  # a socket of the user's may have had the number before
        cookie = self._next_cookie()
        fd = Fd(self._ring, fileno, cookie, datagram=datagram)
        self._endpoints[cookie] = endpoint
        return fd

    def _detach_fileno(self, fd: Fd) -> None:
        """Take a descriptor back from the ring, at once; no record of it will be handed out."""
        answer = fd.close(CLOSE_KEEP | CLOSE_ABORT | CLOSE_NOW)
        self._endpoints.pop(fd.cookie, None)
        fd.free()
        check_answer(answer, "uc_fd_close", errno.EAGAIN, errno.EALREADY)

    def _attach_socket(
        self, sock: socket.socket, endpoint: Endpoint
    ) -> tuple[Fd, list[bytes | Lease | OSError]]:
        """Give a socket to the ring for good.

        If the user has received from it before, its attachment is taken over with what came and
        was not taken: libuc keeps its part, the rest is returned. But libuc reports an end only
        once: a socket that has come to its end is attached anew, and the kernel tells it again.
        """
        fileno = sock.fileno()
        known = self._sockets.get(fileno)
        if known is not None and known.socket() is not sock:
            known = None
        stash = [] if known is None else known.kept()
        if known is not None and not known.ended:
            del self._sockets[fileno]
            known.cancel_waiters()
            known.fd.recv_stop()
            known.fd.poll_stop()
            self._endpoints[known.fd.cookie] = endpoint
            fd = known.fd
        else:
            fd = self._attach_fileno(fileno, endpoint)
        if isinstance(endpoint, SocketTransport):
            self._transports[fileno] = endpoint
        return fd, stash

    def _attach_datagrams(self, sock: socket.socket, transport: DatagramTransport) -> Fd:
        """Give a socket of datagrams to the ring for good."""
        fileno = sock.fileno()
        fd = self._attach_fileno(fileno, transport, datagram=True)
        self._transports[fileno] = transport
        return fd

    def _forget_transport(self, transport: SocketOwner) -> None:
        if self._transports.get(transport._sock_fd) is transport:
            del self._transports[transport._sock_fd]

    # The end

    def _free_with_loop(self, free: Callable[[], None]) -> None:
        """Have ``free()`` called when the loop is closed, before it is; it must not raise."""
        self._freed_with_it.append(free)

    def close(self) -> None:
        """End everything in flight and free it. Idempotent; not while the loop runs."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        while self._freed_with_it:
            self._freed_with_it.pop()()
        with self._wake_lock:
            super().close()
        self._checking = True
        self._scheduled.clear()
        discard(self._batch[self._cursor :])
        self._batch = []
        inherited = False
        try:
            self._settle()
        except ChildProcessError:
            inherited = True
            self._final_stats = Stats(*[0] * len(Stats.__dataclass_fields__))
        finally:
            self._let_go(inherited)

    def _let_go(self, inherited: bool) -> None:
        """Free the ring and close what is open, whatever went wrong before."""
        self._memory = b""
        for transport in list(self._transports.values()):
            transport._refuse_more()  # before its handle is freed
        self._ring.free(inherited=inherited)
        if self._own_pool is not None:
            self._own_pool.free()
        if inherited:
            self._forget_parent()
            self._close_copies()
        endpoints, self._endpoints = self._endpoints, {}
        self._transports.clear()
        self._sockets.clear()
        self._listeners.clear()
        for endpoint in endpoints.values():
            endpoint.loop_closed()
        self._forget_children()
        self._remove_signal_handlers()

    def _settle(self) -> None:
        """Submit what is queued, then take everything back from the kernel.

        What is left when there is too much to move to this thread, or when the kernel refuses to
        go on, ends with the ring.
        """
        self._final_stats = self._ring.stats()
        try:
            self._take_back()
        except OSError as exc:
            if exc.errno == errno.ECHILD:
                raise

    def _take_back(self) -> None:
        self._ring.enable()
        self._final_stats = self._ring.settle(discard)
        self._settled = self._final_stats.in_flight == 0
