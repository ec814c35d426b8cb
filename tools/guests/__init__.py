"""The tests on kernels that this machine does not run: what stands behind tools/kernels.

A guest is an emulated machine (qemu without hardware support) that boots one of Debian's cloud
kernels. Its root file system is this machine's, shared read-only, with a layer in memory for what
is written: the tree, its environment and the interpreter are there as they are here.

One noun per module:

- kernels: which kernels Debian offers, and fetching one
- modules: the kernel modules that a guest needs before it has a root file system
- initramfs: what a guest boots into
- machine: qemu, the daemon that shares the files, and what comes out of a guest
- inside: what runs in a guest; on the host, the same in a process of its own
- jobs: the programs of each suite, with their time limits
- results: what became of a job, a suite, a kernel
- kernel_log: what a kernel complains of
- tables: what is shown in the terminal
- cli: the command line of tools/kernels
"""
