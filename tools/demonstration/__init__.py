"""The program behind tools/demo: asyncio servers on our loop, driven and checked, and compared.

One noun per module:

- services: the echo server and the HTTP server that are demonstrated
- pattern: the bytes that the HTTP server serves, which the load generator knows too
- server: the process that runs both services on one loop
- jobs: what is driven, and driving it
- report: the table
- cli: the command line

Processes and the load generator are those of the ``benchmarks`` package.
"""
