#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fork/fork.h"

/* Stands in for the page until there is one, and for ever where the mark is refused: always 0. */
static _Atomic uint64_t nobody;
_Atomic uint64_t *_Atomic uci_origin_page = &nobody;

/* Where the mark is refused: the origin, whose low half is the process that made it. */
static atomic_bool by_pid;
static _Atomic uint64_t origin_by_pid;

/* Origins made by this process and its ancestors. A child inherits the count, so that its origin
 * differs from all that the handles it inherited can carry, even if a process number comes back. */
static _Atomic uint32_t lineage;

static uint64_t make_origin(void)
{
    uint32_t depth = atomic_fetch_add(&lineage, 1) + 1;

    return (uint64_t)depth << 32 | (uint32_t)getpid();
}

/* Put a fresh origin where @seen stood. Return: what stands there now; another thread may win. */
static uint64_t replace_origin(_Atomic uint64_t *where, uint64_t seen)
{
    uint64_t fresh = make_origin();

    return atomic_compare_exchange_strong(where, &seen, fresh) ? fresh : seen;
}

static uint64_t get_origin_by_pid(void)
{
    uint64_t seen = atomic_load(&origin_by_pid);

    if ((uint32_t)seen == (uint32_t)getpid())
        return seen;
    return replace_origin(&origin_by_pid, seen);
}

bool uci_origin_is_mine_by_pid(uint64_t origin)
{
    return atomic_load_explicit(&by_pid, memory_order_relaxed) && origin &&
           atomic_load(&origin_by_pid) == origin && (uint32_t)origin == (uint32_t)getpid();
}

/* Return: the marked page, the first time made here or by a thread that was faster; NULL without
 * memory, or where the mark is refused. */
static _Atomic uint64_t *get_page(void)
{
    _Atomic uint64_t *seen = atomic_load(&uci_origin_page);
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page;

    if (seen != &nobody)
        return seen;
    page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, bytes, MADV_WIPEONFORK) < 0) {
        atomic_store(&by_pid, true);
        munmap(page, bytes);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&uci_origin_page, &seen, page))
        return page;
    munmap(page, bytes);
    return seen;
}

uint64_t uci_origin(void)
{
    _Atomic uint64_t *page;
    uint64_t seen;

    if (atomic_load(&by_pid))
        return get_origin_by_pid();
    page = get_page();
    if (!page)
        return atomic_load(&by_pid) ? get_origin_by_pid() : 0;
    seen = atomic_load(page);
    return seen ? seen : replace_origin(page, 0);
}

void uci_origin_without_mark(void)
{
    atomic_store(&origin_by_pid, atomic_load(atomic_load(&uci_origin_page)));
    atomic_store(&uci_origin_page, &nobody);
    atomic_store(&by_pid, true);
}
