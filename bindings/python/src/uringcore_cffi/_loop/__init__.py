"""The event loop: scheduler, dispatch of records, servers, sock_* methods. Knows no cffi."""
