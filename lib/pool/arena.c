#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/arena.h"

uint64_t uci_arena_round_up(uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return (bytes + page - 1) / page * page;
}

int uci_arena_reserve(uint64_t bytes, uint8_t **ret_base)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return -ENOMEM;
    *ret_base = base;
    return 0;
}

void uci_arena_release(uint8_t *base, uint64_t bytes)
{
    munmap(base, bytes);
}

int uci_arena_lock(uint8_t *part, uint64_t bytes)
{
    int error;

    if (mlock(part, bytes) == 0)
        return 0;
    error = errno;
    munlock(part, bytes); /* a failure half-way leaves the mapping marked as locked */
    return error == EPERM ? -EPERM : -ENOMEM;
}
