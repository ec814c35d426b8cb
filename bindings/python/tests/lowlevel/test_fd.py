"""Descriptors of a ring: attached, received from, sent to, given back."""

from __future__ import annotations

import errno
import gc
import os
import select
import socket

import pytest
from patience import PATIENCE
from peers import tcp_pair
from taking import many, one, some

from uringcore_cffi.lowlevel import EventFlag, EventKind, FdStatus

HOST = "127.0.0.1"


def receive(ring, count):
    """Take turns until ``count`` bytes have come; return them."""
    data = b""
    while len(data) < count:
        data += b"".join(event.data() for event in some(ring))
    return data


def until_closed(ring):
    """Take turns up to CLOSED; return the events."""
    events = []
    while not events or events[-1].kind is not EventKind.CLOSED:
        events += some(ring)
    return events


def test_what_arrives_is_an_event(ring, pair):
    """With the Fd, its cookie, the bytes, and the end as an empty one."""
    fd = ring.attach(pair[0], cookie=pair)
    fd.recv_start()
    pair[1].sendall(b"hello")
    event = one(ring)
    assert (event.kind, event.fd, event.operation) == (EventKind.RECV, fd, None)
    assert event.cookie is pair
    assert event.check() == len(event.data()) == 5
    assert event.data() == b"hello"
    pair[1].shutdown(socket.SHUT_WR)
    event = one(ring)
    assert (event.result, event.data()) == (0, b"")
    with pytest.raises(OSError, match="nothing more will come"):
        fd.recv_start()


def test_a_payload_is_valid_until_the_next_turn(ring, pair):
    """Afterwards data() raises, and says what to do."""
    fd = ring.attach(pair[0])
    fd.recv_start()
    pair[1].sendall(b"gone")
    event = one(ring)
    assert event.data() == event.data() == b"gone"
    ring.turn()
    for call in (event.data, event.keep):
        with pytest.raises(ValueError, match="before the next turn"):
            call()
    assert event.result == 4
    pair[1].sendall(b"free")
    event = one(ring)
    ring.free()
    with pytest.raises(ValueError, match="before the next turn"):
        event.data()


def test_receiving_once_stopping_and_starting_lose_nothing(ring, pair):
    """What comes while it has stopped is kept."""
    fd = ring.attach(pair[0])
    pair[1].sendall(b"0123456789")
    fd.recv_once(4)
    assert one(ring).data() == b"0123"
    fd.recv_start()
    assert receive(ring, 6) == b"456789"
    fd.recv_stop()
    pair[1].sendall(b"late")
    assert ring.turn(0.01) == []
    fd.recv_start()
    assert receive(ring, 4) == b"late"


def test_bytes_are_sent_in_order_copied_or_not(ring, pair):
    """send() returns what is queued; SENT counts references, which live until then."""
    fd = ring.attach(pair[0], high_water=1000, low_water=10)
    scratch = bytearray(b"copied ")
    assert fd.send(scratch) == 7
    scratch[:] = b"changed"
    parts = [os.urandom(70_000) for _ in range(5)]
    expected = b"copied " + b"".join(parts)
    queued = 7
    while parts:
        queued += 70_000
        assert fd.send(memoryview(parts.pop(0)), reference=True) == queued
    gc.collect()
    noise = [os.urandom(70_000) for _ in range(20)]
    assert fd.status().queued_bytes == queued
    got = bytearray()
    counted, low = 0, False
    while len(got) < len(expected) or counted < 5:
        for event in ring.turn(0.01):
            assert event.kind is EventKind.SENT
            counted += event.result
            low |= bool(event.flags & EventFlag.LOW_WATER)
        while select.select([pair[1]], [], [], 0)[0]:
            got += pair[1].recv(1 << 20)
    assert got == expected
    assert (counted, low) == (5, True)
    assert len(noise) == 20
    assert not fd._references


def test_what_is_sent_by_reference_is_kept_for_a_close(ring, pair):
    """close() sends it first; CLOSED is the last event, and the socket is closed by then."""
    ours, peer = pair
    fd = ring.attach(ours, cookie=1)
    payload = os.urandom(300_000)
    fd.send(payload, reference=True)
    fd.close()
    got = bytearray()
    events = []
    while not events or events[-1].kind is not EventKind.CLOSED:
        events += ring.turn(0.01)
        while select.select([peer], [], [], 0)[0] and (piece := peer.recv(1 << 20)):
            got += piece
    assert got == payload
    assert events[-1].result == 0
    assert ours.fileno() == -1
    assert fd.fileno() == -1
    assert not fd._references
    for call in (fd.recv_start, fd.status, fd.shutdown, lambda: fd.send(b"x")):
        with pytest.raises(ValueError, match="closed or given back"):
            call()
    assert peer.recv(1) == b""


def test_a_descriptor_is_kept_open_where_that_is_asked_for(ring, pair):
    """It is the caller's again at CLOSED."""
    fd = ring.attach(pair[0])
    fd.send(b"first")
    fd.close(keep=True)
    until_closed(ring)
    assert pair[0].send(b" second") == 7
    assert pair[1].recv(5) == b"first"
    assert pair[1].recv(7) == b" second"
    ring.attach(pair[0]).free()


def test_a_number_belongs_to_the_ring(ring):
    """Attached as such it is closed by libuc."""
    ours, peer = socket.socketpair()
    number = ours.detach()
    with peer:
        fd = ring.attach(number)
        assert fd.fileno() == number
        fd.close()
        assert one(ring).kind is EventKind.CLOSED
        with pytest.raises(OSError):
            os.fstat(number)
        peer.settimeout(PATIENCE)
        assert peer.recv(1) == b""


def test_a_close_at_once_needs_no_turn(ring):
    """The port is free when it returns, and no event comes."""
    with socket.create_server((HOST, 0)) as server:
        address = server.getsockname()
        fd = ring.attach(server)
        fd.accept_start()
        ring.turn()
        with pytest.raises(ValueError, match="abort=True"):
            fd.close(now=True)
        fd.close(abort=True, now=True)
        assert server.fileno() == -1
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(address)
            again.listen()
    assert ring.turn(0.01) == []


def test_a_socket_closed_by_its_owner_closes_when_the_ring_lets_go(ring, pair):
    """Its number is not free for others before."""
    ours, peer = pair
    fd = ring.attach(ours)
    fd.recv_start()
    ring.turn()
    number = ours.fileno()
    ours.close()
    assert ours.fileno() == number
    peer.sendall(b"still here")
    assert one(ring).data() == b"still here"
    fd.free()
    assert ours.fileno() == -1


def test_what_is_given_back_works_without_the_ring(ring, pair):
    """free() is at once, may be repeated, and is the end of a with block."""
    with ring.attach(pair[0]) as fd:
        fd.recv_start()
        ring.turn()
    fd.free()
    pair[1].sendall(b"x")
    assert pair[0].recv(1) == b"x"
    assert ring.turn() == []
    with pytest.raises(ValueError, match="closed or given back"):
        fd.recv_start()


def test_connections_are_accepted(ring):
    """Each is an event whose result is a number; a stop is a stop."""
    with socket.create_server((HOST, 0)) as server:
        fd = ring.attach(server, cookie="server")
        fd.accept_start()
        ring.turn()
        with socket.create_connection(server.getsockname()) as client:
            event = one(ring)
            assert (event.kind, event.cookie) == (EventKind.ACCEPT, "server")
            with socket.socket(fileno=event.check()) as accepted:
                accepted.setblocking(True)
                client.sendall(b"hi")
                assert accepted.recv(2) == b"hi"
        fd.recv_stop()
        with pytest.raises(OSError, match="not receiving"):
            fd.recv_stop()


def test_a_connection_that_nobody_took_is_closed_with_the_ring():
    """Also one that was in the batch when the descriptor was given back."""
    from uringcore_cffi.lowlevel import Ring

    with socket.create_server((HOST, 0)) as server:
        ring = Ring()
        fd = ring.attach(server)
        fd.accept_start()
        ring.turn()
        with socket.create_connection(server.getsockname()) as client:
            ring.flush()
            ring.free()
            client.settimeout(PATIENCE)
            server.settimeout(0)
            try:  # it was still the kernel's to give
                server.accept()[0].close()
            except BlockingIOError:
                assert client.recv(1) == b""


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_sockets_are_connected(ring, family, tmp_path):
    """Addresses are Python's; a refusal is the event's errno."""
    where = {socket.AF_INET: (HOST, 0), socket.AF_INET6: ("::1", 0)}
    try:
        server = (
            socket.create_server(where.get(family, str(tmp_path / "s")), family=family)
            if family != socket.AF_UNIX
            else socket.socket(family)
        )
    except OSError as error:
        pytest.skip(f"no sockets of this family: {error}")
    with server, socket.socket(family) as client:
        if family == socket.AF_UNIX:
            server.bind(str(tmp_path / "s"))
            server.listen()
        client.setblocking(False)
        fd = ring.attach(client)
        fd.connect(server.getsockname())
        fd.send(b"waits for the connection")
        event = one(ring)
        assert (event.kind, event.check()) == (EventKind.CONNECT, 0)
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(PATIENCE)
            ring.turn()
            assert accepted.recv(100) == b"waits for the connection"


def test_a_refused_connection_is_an_errno(ring):
    """check() raises ConnectionRefusedError; a host that is no address is a ValueError."""
    with socket.create_server((HOST, 0)) as server:
        address = server.getsockname()
    with socket.socket() as client:
        client.setblocking(False)
        fd = ring.attach(client)
        with pytest.raises(ValueError, match="getaddrinfo"):
            fd.connect(("localhost", 1))
        with pytest.raises(OverflowError):
            fd.connect((HOST, 70_000))
        fd.connect(address)
        with pytest.raises(ConnectionRefusedError):
            one(ring).check()
        fd.free()
    with socket.socket(socket.AF_UNIX) as client:
        fd = ring.attach(client)
        with pytest.raises(ValueError, match="too long"):
            fd.connect("x" * 200)
        fd.free()


def test_datagrams_come_one_by_one_with_their_senders(ring, udp_pair):
    """An empty one too; answers go to where they came from."""
    ours, peer = udp_pair
    fd = ring.attach(ours, datagram=True)
    fd.recv_start()
    ring.turn()
    for payload in (b"one", b"", b"three"):
        peer.sendto(payload, ours.getsockname())
        event = one(ring)
        assert event.kind is EventKind.DATAGRAM
        assert (event.data(), event.result) == (payload, len(payload))
        assert event.address() == peer.getsockname()
        assert not event.flags & EventFlag.TRUNCATED
        fd.send_to(b"re: " + payload, event.address())
        while ring.turn(0.001):
            pass
        assert peer.recv(100) == b"re: " + payload
    with pytest.raises(ValueError, match="before the next turn"):
        event.address()
    with pytest.raises(ValueError, match="send_to"):
        fd.send(b"x")


def test_a_number_knows_its_family(ring, udp_pair):
    """Addresses are encoded for the socket that it is."""
    ours, peer = udp_pair
    fd = ring.attach(ours.fileno(), datagram=True)
    fd.send_to(bytearray(b"x"), peer.getsockname())
    ring.flush()
    assert peer.recv(10) == b"x"
    ours.connect(peer.getsockname())
    fd.send_to(b"y")
    while ring.turn(0.001) or fd.status().queued_bytes:
        pass
    assert peer.recv(10) == b"y"
    fd.free()
    with pytest.raises(ValueError, match="closed or given back"):
        fd.send_to(b"z", peer.getsockname())


def test_readiness_is_an_event(ring, pair):
    """poll() tells once, poll_stop() calls it off."""
    fd = ring.attach(pair[0])
    fd.poll(select.POLLIN)
    assert ring.turn() == []
    pair[1].sendall(b"x")
    event = one(ring)
    assert (event.kind, event.result & select.POLLIN) == (EventKind.POLL, select.POLLIN)
    assert pair[0].recv(1) == b"x"
    fd.poll(select.POLLIN)
    fd.poll_stop()
    with pytest.raises(OSError, match="no poll was asked for"):
        fd.poll_stop()
    pair[1].sendall(b"y")
    assert ring.turn(0.01) == []


def test_the_write_side_is_shut_down(ring):
    """Behind what is queued; the read side goes on."""
    ours, peer = tcp_pair()
    with ours, peer:
        fd = ring.attach(ours)
        fd.recv_start()
        fd.send(b"last")
        fd.shutdown()
        event = one(ring)
        assert (event.kind, event.result) == (EventKind.SHUTDOWN, 0)
        assert peer.recv(10) == b"last"
        assert peer.recv(10) == b""
        with pytest.raises(OSError, match="shut down"):
            fd.send(b"more")
        peer.sendall(b"answer")
        assert receive(ring, 6) == b"answer"
        fd.free()


def test_limits_are_set_and_told(ring, pair):
    """status() has what attach(), set_credit() and set_water_marks() have set."""
    fd = ring.attach(pair[0], credit_bytes=5000, credit_ops=3)
    status = fd.status()
    assert isinstance(status, FdStatus)
    assert (status.fd, status.credit_bytes, status.credit_ops) == (pair[0].fileno(), 5000, 3)
    fd.set_credit(2, 6000)
    status = fd.status()
    assert (status.credit_bytes, status.credit_ops) == (6000, 2)
    fd.set_water_marks(10, 1)
    with pytest.raises(ValueError, match="ops is 1 to 16"):
        fd.set_credit(0, 1)
    with pytest.raises(ValueError, match="low is at most high"):
        fd.set_water_marks(1, 2)


def test_what_cannot_be_is_refused_at_once(ring, pair):
    """With a message that says what to change; the descriptor goes on."""
    number = os.dup(0)
    os.close(number)
    with pytest.raises(OSError) as caught:
        ring.attach(number)
    assert caught.value.errno == errno.EBADF
    fd = ring.attach(pair[0])
    with pytest.raises(OSError, match="one descriptor can serve one") as caught:
        ring.attach(pair[0])
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(TypeError):
        ring.attach(pair[1], no_such_option=1)
    fd.recv_start()
    with pytest.raises(OSError, match="recv_stop"):
        fd.recv_start()
    with pytest.raises(OSError, match="either receives or accepts"):
        fd.accept_start()
    with pytest.raises(ValueError, match="1 byte or more"):
        fd.send(b"")
    with pytest.raises(TypeError):
        fd.send("text")
    with pytest.raises(ValueError, match="datagram=True"):
        fd.send_to(b"x")
    pair[1].sendall(b"x")
    assert one(ring).data() == b"x"
    fd.close()
    with pytest.raises((OSError, ValueError)):
        fd.send(b"late")
    until_closed(ring)


def test_pieces_are_gathered_where_that_is_asked_for(ring):
    """One large event instead of many; each has all of its bytes."""
    ours, peer = tcp_pair()
    with ours, peer:
        fd = ring.attach(ours, gather=True)
        payload = os.urandom(200_000)
        fd.recv_start()
        fd.set_gather(True)
        peer.sendall(payload)
        assert receive(ring, len(payload)) == payload
        fd.free()


def test_many_descriptors_are_told_apart(ring):
    """Each event has the Fd that it is about."""
    pairs = [socket.socketpair() for _ in range(20)]
    fds = {}
    for number, (ours, peer) in enumerate(pairs):
        fds[number] = ring.attach(ours, cookie=number)
        fds[number].recv_start()
        peer.sendall(str(number).encode())
    for event in many(ring, 20):
        assert event.fd is fds[event.cookie]
    ring.free()
    for ends in pairs:
        for end in ends:
            end.close()
