/*
 * Which process a handle belongs to.
 *
 * One page is marked MADV_WIPEONFORK: the kernel hands the child a zeroed copy, whatever made the
 * child (fork, clone), so that one memory read tells a child from its parent. The page holds the
 * origin of this process, a number that is never 0 and differs between a process and its children.
 * Where the mark is refused (before Linux 4.14), origins are compared with getpid() instead.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Return: this process's origin, made at the first call, or 0 if there is no memory for it. */
uint64_t uci_origin(void);

/* Only for uci_origin_is_mine(): where the origin stands, and what to ask when it differs. */
extern _Atomic uint64_t *_Atomic uci_origin_page;
bool uci_origin_is_mine_by_pid(uint64_t origin);

/* Return: whether @origin, got from uci_origin(), is this process's; 0 is nobody's. */
static inline bool uci_origin_is_mine(uint64_t origin)
{
    _Atomic uint64_t *page = atomic_load_explicit(&uci_origin_page, memory_order_relaxed);

    if (origin && atomic_load_explicit(page, memory_order_relaxed) == origin)
        return true;
    return uci_origin_is_mine_by_pid(origin);
}

/* From now on as where the mark is refused; for tests, before there are other threads. */
void uci_origin_without_mark(void);
