"""The process that is driven: ``python -m demonstration.server LOOP``.

Runs both services on one loop, prints their ports as a line of JSON, and ends with its standard
input (see ``benchmarks.control``).
"""

from __future__ import annotations

import argparse
import asyncio
import json

from benchmarks.control import answer_questions
from benchmarks.servers import LOOPS, new_event_loop, run
from demonstration.services import start_echo, start_http


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    servers = {"echo": await start_echo(), "http": await start_http()}
    answer_questions(loop, stopped.set)
    ports = {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    print(json.dumps(ports), flush=True)
    await stopped.wait()
    for server in servers.values():
        server.close()


def main() -> None:
    """Serves until the input ends."""
    parser = argparse.ArgumentParser(prog="demonstration.server", description=__doc__)
    parser.add_argument("loop", choices=sorted(LOOPS))
    run(new_event_loop(parser.parse_args().loop), _serve())


if __name__ == "__main__":
    main()
