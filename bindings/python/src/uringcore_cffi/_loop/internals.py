"""What other loops have inside, and what to use instead of it here."""

from __future__ import annotations

_INSTEAD = {
    "_selector": "add_reader() and add_writer(), or remove_reader() and remove_writer()",
    "_process_events": "add_reader() and add_writer()",
    "_csock": "call_soon_threadsafe() to wake the loop",
    "_ssock": "call_soon_threadsafe() to wake the loop",
    "_read_from_self": "call_soon_threadsafe() to wake the loop",
    "_proactor": "the sock_*() methods",
    "_accept_connection": "create_server(), or sock_accept()",
    "_accept_connection2": "create_server(), or connect_accepted_socket()",
    "_add_callback": "call_soon()",
    "_add_callback_signalsafe": "call_soon_threadsafe()",
    "_handle_signal": "add_signal_handler()",
}


def explain_missing(loop: object, name: str) -> AttributeError:
    """Make the exception for an attribute that the loop does not have."""
    message = f"{type(loop).__name__!r} object has no attribute {name!r}"
    if name in _INSTEAD:
        message += f": it waits by io_uring, not by a selector; use {_INSTEAD[name]}"
    return AttributeError(message)
