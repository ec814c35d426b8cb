"""anyio's asyncio backend: sockets of all kinds, TLS, task groups, threads, processes, signals."""

from __future__ import annotations

import os
import signal
import socket
import sys

import anyio
import anyio.abc
import anyio.from_thread
import anyio.to_thread
import loops
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener, TLSStream
from web_answers import body


@pytest.fixture
def run_anyio():
    """Run an async function as anyio programs do."""

    def run(function, *arguments):
        async def main():
            with anyio.fail_after(50):
                return await function(*arguments)

        options = {"loop_factory": loops.new_event_loop}
        return anyio.run(main, backend="asyncio", backend_options=options)

    return run


async def echo(stream: anyio.abc.ByteStream) -> None:
    """Send everything back until the other end has nothing more."""
    async with stream:
        async for chunk in stream:
            await stream.send(chunk)


async def converse(stream: anyio.abc.ByteStream, number: int) -> None:
    """Send and receive at the same time; what comes back must be what was sent."""
    sent = body(number, 400_000)
    received = BufferedByteReceiveStream(stream)
    async with stream, anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, sent)
        assert await received.receive_exactly(len(sent)) == sent
        for step in range(20):
            await stream.send(b"step %5d" % step)
            assert await received.receive_exactly(10) == b"step %5d" % step


async def serve_and_converse(listener, connect, *, count: int) -> None:
    """Serve echoes on a listener while clients converse with it."""

    async def one(number: int) -> None:
        await converse(await connect(), number)

    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, echo)
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(one, number)
        serving.cancel_scope.cancel()


def test_tcp_streams_echo(run_anyio) -> None:
    async def main():
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        await serve_and_converse(listener, lambda: anyio.connect_tcp("127.0.0.1", port), count=30)

    run_anyio(main)


def test_unix_streams_echo(run_anyio, data_folder) -> None:
    path = data_folder() / "echo.sock"

    async def main():
        listener = await anyio.create_unix_listener(path)
        await serve_and_converse(listener, lambda: anyio.connect_unix(path), count=30)

    run_anyio(main)


def test_tls_streams_echo(run_anyio, certificates) -> None:
    async def main():
        inner = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = inner.extra(anyio.abc.SocketAttribute.local_port)
        listener = TLSListener(inner, certificates.server_context())

        async def connect() -> TLSStream:
            return await anyio.connect_tcp(
                "127.0.0.1", port, ssl_context=certificates.client_context()
            )

        await serve_and_converse(listener, connect, count=10)

    run_anyio(main)


def test_unix_streams_carry_descriptors(run_anyio, data_folder, tmp_path) -> None:
    path = data_folder() / "descriptors.sock"
    (tmp_path / "sent").write_bytes(b"read through a descriptor that came by socket")

    async def main():
        async def hand_over(stream) -> None:
            async with stream:
                with open(tmp_path / "sent", "rb") as file:
                    await stream.send_fds(b"here", [file])

        listener = await anyio.create_unix_listener(path)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, hand_over)
            async with await anyio.connect_unix(path) as stream:
                message, descriptors = await stream.receive_fds(100, 1)
            tasks.cancel_scope.cancel()
        with os.fdopen(descriptors[0], "rb") as file:
            return message, file.read()

    assert run_anyio(main) == (b"here", (tmp_path / "sent").read_bytes())


def test_datagrams_echo(run_anyio) -> None:
    async def main():
        async def answer(server) -> None:
            async for packet, address in server:
                await server.sendto(packet[::-1], *address)

        async with await anyio.create_udp_socket(local_host="127.0.0.1") as server:
            port = server.extra(anyio.abc.SocketAttribute.local_port)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer, server)
                async with await anyio.create_connected_udp_socket("127.0.0.1", port) as client:
                    for number in range(1000):
                        sent = body(number, number + 1)
                        await client.send(sent)
                        assert await client.receive() == sent[::-1]
                tasks.cancel_scope.cancel()

    run_anyio(main)


def test_a_socket_can_be_waited_for(run_anyio) -> None:
    async def main():
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            far.setblocking(False)

            async def send() -> None:
                for number in range(200):
                    await anyio.wait_writable(far)
                    far.send(b"%4d" % number)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                seen = b""
                while len(seen) < 800:
                    await anyio.wait_readable(near)
                    seen += near.recv(100)
            assert seen == b"".join(b"%4d" % number for number in range(200))
            with anyio.move_on_after(0.05) as scope:
                await anyio.wait_readable(near)
            assert scope.cancelled_caught

    run_anyio(main)


def test_a_failing_task_cancels_its_group(run_anyio) -> None:
    async def main():
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        cancelled = []
        waiting = []
        all_wait = anyio.Event()

        async def wait_for_nothing() -> None:
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                waiting.append(1)
                if len(waiting) == 20:
                    all_wait.set()
                try:
                    await stream.receive()
                except anyio.get_cancelled_exc_class():
                    cancelled.append(1)
                    raise

        async def fail() -> None:
            await all_wait.wait()
            raise ValueError("on purpose")

        async def many_and_one_that_fails() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(wait_for_nothing)
                tasks.start_soon(fail)

        async with listener, anyio.create_task_group() as serving:
            serving.start_soon(listener.serve, echo)
            with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="on purpose")):
                await many_and_one_that_fails()
            assert len(cancelled) == 20
            serving.cancel_scope.cancel()

    run_anyio(main)


def test_threads_and_the_loop_call_each_other(run_anyio) -> None:
    async def on_loop(number: int) -> int:
        await anyio.sleep(0)
        return number * 2

    def in_thread(number: int) -> int:
        return anyio.from_thread.run(on_loop, number) + 1

    async def main():
        results: dict[int, int] = {}

        async def one(number: int) -> None:
            results[number] = await anyio.to_thread.run_sync(in_thread, number)

        async with anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(one, number)
        assert results == {number: number * 2 + 1 for number in range(500)}

    run_anyio(main)


def test_a_portal_is_called_from_outside() -> None:
    async def double(number: int) -> int:
        await anyio.sleep(0)
        return number * 2

    options = {"loop_factory": loops.new_event_loop}
    with anyio.from_thread.start_blocking_portal("asyncio", options) as portal:
        assert [portal.call(double, number) for number in range(500)] == list(range(0, 1000, 2))
        futures = [portal.start_task_soon(double, number) for number in range(500)]
        assert [future.result() for future in futures] == list(range(0, 1000, 2))


def test_processes_talk_through_their_pipes(run_anyio) -> None:
    program = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"

    async def main():
        async with await anyio.open_process([sys.executable, "-c", program]) as process:
            answers = BufferedByteReceiveStream(process.stdout)
            for number in range(300):
                await process.stdin.send(b"line %d\n" % number)
                answer = await answers.receive_until(b"\n", 100)
                assert answer == (b"line %d" % number)[::-1]
            await process.stdin.aclose()
            assert await process.wait() == 0
        sent = body(1, 2_000_000)
        done = await anyio.run_process(["cat"], input=sent)
        assert done.stdout == sent
        done = await anyio.run_process("echo problem >&2; exit 7", check=False)
        assert (done.returncode, done.stderr) == (7, b"problem\n")
        with anyio.move_on_after(0.2) as scope:
            await anyio.run_process(["sleep", "3600"])
        assert scope.cancelled_caught

    run_anyio(main)


def test_many_processes_run_side_by_side(run_anyio) -> None:
    async def main():
        seen = set()

        async def one(number: int) -> None:
            done = await anyio.run_process(["echo", str(number)])
            seen.add(int(done.stdout))

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(one, number)
        assert seen == set(range(40))

    run_anyio(main)


def test_signals_are_received_in_order(run_anyio) -> None:
    async def main():
        with anyio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2) as signals:
            for number in (signal.SIGUSR1, signal.SIGUSR2) * 50:
                os.kill(os.getpid(), number)
                assert await signals.__anext__() == number

    run_anyio(main)


def test_files_are_read_and_written_in_threads(run_anyio, tmp_path) -> None:
    async def main():
        async with await anyio.open_file(tmp_path / "file", "wb") as file:
            for number in range(200):
                await file.write(body(number, 1000))
        seen = await anyio.Path(tmp_path / "file").read_bytes()
        assert seen == b"".join(body(number, 1000) for number in range(200))

    run_anyio(main)
