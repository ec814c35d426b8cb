"""Files: ``uringcore_cffi.fs`` beside ``aiofiles``, a thread, and io_uring in C.

The two libraries have one interface, so the lines that are timed are the same ones. Each pair of
a library and a loop lives in a process of its own, and they take turns as loops measured from
inside do. Unlike those they are not kept on one CPU: threads are how ``aiofiles`` works, and it
may have what the machine has.

- place: the files that are read and written
- kinds: the ways to work with files
- subjects: which way on which loop
- catalogue: the workloads
- worker: the process of one subject
- command, tables: ``tools/bench files``
"""
