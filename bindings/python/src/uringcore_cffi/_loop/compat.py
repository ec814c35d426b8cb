"""Every underscore of asyncio that this package relies on, with the versions that have it.

CPython keeps no promise about these names; whoever runs the tests on a new Python looks here
first. "All" is 3.9 to 3.14.

Modules and functions
    base_events._check_ssl_socket      all   TypeError for ssl sockets in sock_*
    base_events._set_nodelay           all   TCP_NODELAY on stream transports
    base_events.Server                 all   made by BaseEventLoop.create_server()
    constants.ACCEPT_RETRY_DELAY       all   seconds to back off when descriptors ran out
    constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES  all
    exceptions.SendfileNotAvailableError         all   have BaseEventLoop fall back
    format_helpers._format_callback_source       all
    constants._SendfileMode.TRY_NATIVE           all   what a transport says of sendfile()
    futures._set_result_unless_cancelled         all
    transports._FlowControlMixin       all   pairing of pause_writing and resume_writing
    trsock.TransportSocket             all   what get_extra_info("socket") answers
    selector_events._SelectorDatagramTransport   all   datagrams over add_reader()
    sslproto.SSLProtocol               all   TLS; a timeout for the shutdown from 3.11 on
    sslproto.SSLProtocolState, SSLAgainErrors    3.11 and later, with the SSLProtocol that
                                             TLSProtocol builds on
    unix_events._UnixSelectorEventLoop           all   its functions for Unix sockets
    unix_events._UnixReadPipeTransport, _UnixWritePipeTransport, _UnixSubprocessTransport  all
    unix_events.ThreadedChildWatcher   3.9 to 3.13, _ThreadedChildWatcher from 3.14 on

BaseEventLoop: hooks overridden
    _run_once, _make_socket_transport, _make_ssl_transport, _make_datagram_transport,
    _make_read_pipe_transport, _make_write_pipe_transport, _make_subprocess_transport,
    _sock_sendfile_native, _sendfile_native,
    _start_serving, _stop_serving, _write_to_self, _timer_handle_cancelled         all

BaseEventLoop: members used
    _ready, _scheduled, _timer_cancelled_count, _stopping, _closed, _debug,
    _current_handle, _clock_resolution, _check_closed, _check_thread, _check_callback,
    _ensure_resolved, _getaddrinfo_debug                                           all

Handle and TimerHandle: slots written directly
    _callback, _args, _context, _loop, _cancelled, _repr, _source_traceback,
    _when, _scheduled                                                              all

Transports and protocols: members used
    BaseTransport                 _extra                                            all
    StreamReader                  _buffer, _eof, _exception, _limit, _paused, _transport,
                                  _waiter, _wakeup_waiter(), _wait_for_data(),
                                  _maybe_resume_transport()                         all
    StreamReaderProtocol          _stream_reader                                    all
    _FlowControlMixin             _protocol_paused, _high_water, _low_water,
                                  _set_write_buffer_limits(),
                                  _maybe_pause_protocol(), _maybe_resume_protocol() all
    _SelectorDatagramTransport    _loop, _sock, _sock_fd, _buffer, _closing,
                                  _call_connection_lost()                           all
    _UnixSubprocessTransport      _process_exited(), _wait()                        all
    SSLProtocol                   _app_transport                                    all
                                  _ssl_buffer, _ssl_buffer_view, max_size, _incoming, _outgoing,
                                  _sslobj, _state, _write_backlog, _write_buffer_size,
                                  _ssl_writing_paused, _app_writing_paused, _app_protocol,
                                  _outgoing_low_water, _outgoing_high_water, _transport,
                                  _do_read(), _do_read__copied(), _write_appdata(),
                                  _process_outgoing(), _control_app_writing(),
                                  _call_eof_received(), _start_shutdown(), _fatal_error()
                                                                        3.11 and later

Server
    _attach(), _detach()                    3.9 to 3.12
    _attach(transport), _detach(transport)  3.13 and later

Policies
    events._BaseDefaultEventLoopPolicy, events._set_event_loop_policy   3.14 and later
    (before, the public names are used; from 3.14 on those warn)

socket.socket
    _io_refs, _decref_socketios()           all: hold a socket open while an operation needs it

PyPy has the same names. What differs there: bytes_view().
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import sys
from asyncio import (
    base_events,
    constants,
    events,
    exceptions,
    format_helpers,
    futures,
    selector_events,
    sslproto,
    transports,
    trsock,
    unix_events,
)
from typing import Any, Callable

_base_events: Any = base_events
_constants: Any = constants
_events: Any = events
_format_helpers: Any = format_helpers
_futures: Any = futures
_selector_events: Any = selector_events
_sslproto: Any = sslproto
_transports: Any = transports
_unix_events: Any = unix_events

SendfileNotAvailableError: type[Exception] = exceptions.SendfileNotAvailableError
TransportSocket: Any = trsock.TransportSocket
FlowControlMixin: Any = _transports._FlowControlMixin
SelectorDatagramTransport: Any = _selector_events._SelectorDatagramTransport
SSLProtocol: Any = _sslproto.SSLProtocol
# None where SSLProtocol is of the old form.
SSL_WRAPPED: Any = getattr(getattr(_sslproto, "SSLProtocolState", None), "WRAPPED", None)
SSL_AGAIN: Any = getattr(_sslproto, "SSLAgainErrors", ())
UnixSelectorEventLoop: Any = _unix_events._UnixSelectorEventLoop
ReadPipeTransport: Any = _unix_events._UnixReadPipeTransport
WritePipeTransport: Any = _unix_events._UnixWritePipeTransport
SubprocessTransport: Any = _unix_events._UnixSubprocessTransport
ThreadedChildWatcher: Any = (
    getattr(_unix_events, "_ThreadedChildWatcher", None) or _unix_events.ThreadedChildWatcher
)

check_ssl_socket: Callable[[Any], None] = _base_events._check_ssl_socket
set_nodelay: Callable[[socket.socket], None] = _base_events._set_nodelay
format_callback: Callable[[Any, Any], str] = _format_helpers._format_callback_source
set_result_unless_cancelled: Callable[[Any, Any], None] = _futures._set_result_unless_cancelled

SENDFILE_TRY_NATIVE: Any = _constants._SendfileMode.TRY_NATIVE
ACCEPT_RETRY_DELAY: float = _constants.ACCEPT_RETRY_DELAY
LOG_THRESHOLD_FOR_CONNLOST_WRITES: int = _constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES

# What _start_serving() is given behind the backlog, in order, and _make_ssl_transport() by name.
TLS_TIMEOUTS = ("ssl_handshake_timeout", "ssl_shutdown_timeout")

# Whether Server's _attach() and _detach() take the transport.
SERVER_KNOWS_CLIENTS = "transport" in inspect.signature(_base_events.Server._attach).parameters

if sys.version_info >= (3, 14):
    DefaultPolicy: Any = _events._BaseDefaultEventLoopPolicy
    set_policy: Callable[[Any], None] = _events._set_event_loop_policy
else:
    DefaultPolicy = asyncio.DefaultEventLoopPolicy
    set_policy = asyncio.set_event_loop_policy


def is_tcp(sock: socket.socket) -> bool:
    """Tell whether set_nodelay() would do something; each look at a property makes an enum."""
    return (
        sock.family in (socket.AF_INET, socket.AF_INET6)
        and sock.type == socket.SOCK_STREAM
        and sock.proto == socket.IPPROTO_TCP
    )


def attach_to_server(server: Any, transport: Any) -> None:
    """Tell a server that a transport is one of its connections."""
    if SERVER_KNOWS_CLIENTS:
        server._attach(transport)
    else:
        server._attach()


def hold_socket(sock: Any) -> None:
    """Keep the descriptor open, also when its owner calls close() meanwhile.

    Something that only behaves like a socket is its owner's to keep open.
    """
    if issubclass(type(sock), socket.socket):  # isinstance() believes a mock
        sock._io_refs += 1


def let_go_of_socket(sock: Any) -> None:
    """End one hold; a close() that came meanwhile happens now."""
    if issubclass(type(sock), socket.socket):  # isinstance() believes a mock
        sock._decref_socketios()


def close_held_socket(sock: Any) -> None:
    """Close a socket and end our hold on it; may be done again after an interrupt."""
    sock.close()
    if sock.fileno() >= 0:
        sock._decref_socketios()


def bytes_view(view: memoryview) -> memoryview:
    """View any memory as single bytes.

    Bytes are not cast: from a view that was, PyPy takes a slice byte by byte.
    """
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")
