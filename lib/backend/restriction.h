/*
 * What a restricted ring may do.
 *
 * The list stands here once. Above the seam it refuses operations before they are queued, whatever
 * the backend; the io_uring backend makes the kernel's list of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether a ring with @restriction (UC_RESTRICT_*) may submit @op (UCI_OP_*). */
bool uci_restriction_allows(uint32_t restriction, uint8_t op);
