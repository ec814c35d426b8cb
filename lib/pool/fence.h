/* UC_FENCE=1: a buffer that nobody holds is shut, so that a write that comes too late is found. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uc/pool.h>

/* What UC_FENCE says: 0, 1, or -EINVAL for a word that is not known. */
int uci_fence_wanted(void);

/* Bytes between two buffers, and the buffer's own. */
uint64_t uci_fence_stride(uint32_t buffer_bytes);

/* Buffer @index has become free, or is about to be used. Opening aborts the program if somebody
 * wrote to it meanwhile. */
void uci_fence_shut(uc_pool *pool, uint32_t index);
void uci_fence_open(uc_pool *pool, uint32_t index);

/* Let the kernel pin all of it, then shut again what is free. */
void uci_fence_lift(uc_pool *pool);
void uci_fence_lower(uc_pool *pool);
