/* The one clock of libuc: CLOCK_MONOTONIC, which the kernel's waits use too. */
#pragma once

#include <stdint.h>

uint64_t uci_clock_now_ns(void);
