"""Ring, Pool and Fd: the only classes that own C handles."""
