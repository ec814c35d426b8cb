"""What other loops have inside, and what to use instead of it here."""

from __future__ import annotations

from typing import Any


class _Missing:
    """An attribute that is not there: reading it tells what to use instead."""

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loop: object, owner: type) -> Any:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self._name!r}: "
            f"it waits by io_uring, not by a selector; use {self._instead}"
        )


class MissingInternals:
    """The last base of the loop, so that what asyncio's own base class has comes first.

    Not a __getattr__ of the loop: a class that has one pays in every access to any attribute, also
    to those that are there, because the interpreter can no longer remember where they are.
    """

    _selector = _Missing("add_reader() and add_writer(), or remove_reader() and remove_writer()")
    _process_events = _Missing("add_reader() and add_writer()")
    _csock = _Missing("call_soon_threadsafe() to wake the loop")
    _ssock = _Missing("call_soon_threadsafe() to wake the loop")
    _read_from_self = _Missing("call_soon_threadsafe() to wake the loop")
    _proactor = _Missing("the sock_*() methods")
    _accept_connection = _Missing("create_server(), or sock_accept()")
    _accept_connection2 = _Missing("create_server(), or connect_accepted_socket()")
    _add_callback = _Missing("call_soon()")
    _add_callback_signalsafe = _Missing("call_soon_threadsafe()")
    _handle_signal = _Missing("add_signal_handler()")
