/*
 * Two traps for one mistake.
 *
 * A write through an old address finds pages without any access: the program gets SIGSEGV at the
 * place that is wrong, the kernel answers -EFAULT. What stands beyond a buffer's end is a page of
 * that kind too. But memory that is registered with a ring is pinned, and the kernel writes to pinned
 * pages whatever the process may do with them: those writes are found at the next use, because head
 * and tail of a free buffer hold a pattern.
 *
 * Each shutting and opening is a system call. If the kernel refuses one (a process may have only
 * 65,530 stretches of memory) the buffer stays open, and the pattern alone watches it; if it cannot
 * be opened by itself, all are, because one stretch is always to be had.
 */
#include "pool/fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pool/arena.h"
#include "pool/pool.h"

#define PATTERN_BYTES 256u /* at either end */

int uci_fence_wanted(void)
{
    const char *text = getenv("UC_FENCE");

    if (!text || !*text || strcmp(text, "0") == 0)
        return 0;
    return strcmp(text, "1") == 0 ? 1 : -EINVAL;
}

uint64_t uci_fence_stride(uint32_t buffer_bytes)
{
    return buffer_bytes + uci_arena_round_up(1);
}

static uint8_t *buffer_at(const uc_pool *pool, uint32_t index)
{
    return pool->base + uci_pool_offset(pool, index);
}

static uint8_t pattern(uint32_t position)
{
    return (uint8_t)(0xa5 ^ position * 31);
}

static int protect(const uc_pool *pool, uint32_t index, int access)
{
    return mprotect(buffer_at(pool, index), pool->buffer_bytes, access);
}

static void shut_guard(const uc_pool *pool, uint32_t index)
{
    uint8_t *guard = buffer_at(pool, index) + pool->buffer_bytes;

    (void)mprotect(guard, pool->stride - pool->buffer_bytes, PROT_NONE);
}

void uci_fence_shut(uc_pool *pool, uint32_t index)
{
    uint8_t *head = buffer_at(pool, index), *tail = head + pool->buffer_bytes - PATTERN_BYTES;

    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        head[i] = tail[i] = pattern(i);
    (void)protect(pool, index, PROT_NONE);
    shut_guard(pool, index);
}

__attribute__((noreturn)) static void tell(const uc_pool *pool, uint32_t index, uint32_t byte)
{
    const struct uci_buffer *buffer = &pool->buffers[index];

    fprintf(
        stderr,
        "libuc: UC_FENCE: byte %u of buffer %u was written while nobody held the buffer; in its "
        "life before (generation %u) it held %u bytes from byte %u on. Who had it then wrote to "
        "it, or let the kernel write to it, after it was released.\n",
        byte, index, buffer->generation - 1, buffer->length, buffer->start);
    abort();
}

void uci_fence_open(uc_pool *pool, uint32_t index)
{
    uint8_t *head = buffer_at(pool, index);
    uint32_t tail = pool->buffer_bytes - PATTERN_BYTES;

    if (protect(pool, index, PROT_READ | PROT_WRITE) < 0)
        uci_fence_lift(pool);
    for (uint32_t i = 0; i < PATTERN_BYTES; i++) {
        if (head[i] != pattern(i))
            tell(pool, index, i);
        if (head[tail + i] != pattern(i))
            tell(pool, index, tail + i);
    }
}

void uci_fence_lift(uc_pool *pool)
{
    (void)mprotect(pool->base, uci_pool_offset(pool, pool->count), PROT_READ | PROT_WRITE);
}

void uci_fence_lower(uc_pool *pool)
{
    for (uint32_t index = 0; index < pool->count; index++) {
        shut_guard(pool, index);
        if (uci_buffer_is_idle(pool->buffers[index].state))
            (void)protect(pool, index, PROT_NONE);
    }
}
