/* The memory of a pool: the only file of libuc that maps and locks memory for payloads. */
#pragma once

#include <stdint.h>

uint64_t uci_arena_round_up(uint64_t bytes); /* to whole pages */

/* Address space, readable and writable; memory comes with the first touch. -ENOMEM. */
int uci_arena_reserve(uint64_t bytes, uint8_t **ret_base);
void uci_arena_release(uint8_t *base, uint64_t bytes);

/* Lock a part of it, all or nothing: -ENOMEM above the limit, -EPERM where none is allowed. */
int uci_arena_lock(uint8_t *part, uint64_t bytes);
