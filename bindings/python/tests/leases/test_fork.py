"""Leases in a forked child: a copy of its own, and nothing of the parent's is touched."""

from __future__ import annotations

import asyncio

import pytest
from leased import A_BUFFER, lease_of, leased, until_leased
from peers import socket_pair
from steps import turns

import uringcore_cffi


def receive_much(loop) -> None:
    """Use many buffers of the loop's pool."""

    async def main():
        with socket_pair() as (ours, peer):
            for number in range(300):
                peer.sendall(b"%d" % number * 1000)
                with await loop.sock_recv_lease(ours) as lease:
                    assert lease.view == b"%d" % number * 1000

    loop.run_until_complete(main())


@pytest.fixture
def held(loop, pair):
    """Hold two leases and a slice of a third."""

    async def main():
        leases = [await lease_of(loop, *pair, b"lease %d" % number * 500) for number in range(3)]
        return [*leases[:2], leases[2].view[7:14]]

    return loop.run_until_complete(main())


def check(held) -> None:
    assert bytes(held[0]) == b"lease 0" * 500
    assert held[1].view == b"lease 1" * 500
    assert held[2] == b"lease 2"


def test_the_parent_keeps_its_leases_whatever_the_child_does_with_its_copies(loop, fork, held):
    def child():
        check(held)
        held.clear()
        receive_much(loop)
        assert leased(loop) == 0
        loop.close()

    fork(child).join()
    check(held)
    assert leased(loop) == 3 * A_BUFFER
    receive_much(loop)
    check(held)


def test_a_child_that_goes_on_with_the_loop_keeps_what_it_looks_at(loop, fork, held):
    """The loop's pool begins anew, but for the buffers that are still read."""

    def child():
        receive_much(loop)
        check(held)
        assert leased(loop) == 3 * A_BUFFER
        held[0].release()
        del held[1:]

        async def settle():
            await turns(1)
            await until_leased(loop, 0)

        loop.run_until_complete(settle())
        loop.close()

    fork(child).join()
    check(held)


@pytest.mark.parametrize("runs", [False, True])
def test_a_child_may_close_the_loop_and_look_afterwards(loop, fork, held, runs):
    def child():
        if runs:
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        check(held)
        held[0].release()
        held.clear()

    fork(child).join()
    check(held)


def test_a_child_with_a_loop_of_its_own_releases_what_it_inherited(loop, fork, held):
    def child():
        async def main():
            check(held)
            held[0].release()
            held.clear()
            await turns(3)

        uringcore_cffi.run(main())

    fork(child).join()
    check(held)


def test_a_fork_in_a_callback_leaves_the_lease_at_hand_to_both(loop, fork, pair):
    ours, peer = pair

    async def main():
        with await lease_of(loop, ours, peer, b"data") as lease:

            def child():
                assert lease.view == b"data"
                lease.release()
                assert lease.released

            fork(child).join()
            assert lease.view == b"data"

    loop.run_until_complete(main())
    assert leased(loop) == 0
