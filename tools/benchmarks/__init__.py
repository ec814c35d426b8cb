"""The benchmark suite behind tools/bench.

One noun per module:

- workloads: what is asked of a server
- loops: the event loops that are known, and how each is made
- peers: who is measured, and how each is started
- environments, outcomes: loops from PyPI, and why some could not be had
- servers: the Python echo servers, a process each
- services: what such a server does with its loop, through each of asyncio's APIs
- certificates: for those that speak TLS
- limits: how many files may be open
- http_workloads, http_services: the same for HTTP servers of others
- control: questions to a running Python server, over its standard input and output
- processes: starting, pinning and stopping server processes
- load: the load generator in C
- measurement: one peer under one workload for one window
- pairing: interleaved rounds, medians, ratios within a round
- figures: the numbers that are promised, and whether they are met
- tables: what is shown in the terminal
- machine: what the numbers were made on
- documents: the results as JSON
- report/: a page of the results, with plots
- inside/: loops measured from inside, without a server
- native/: the load generator and the raw servers in C
"""
