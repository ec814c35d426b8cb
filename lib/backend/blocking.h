/* Operations on files and names as plain system calls, for a thread that may wait. */
#pragma once

#include <stdint.h>

#include "backend/backend.h"

/* Any operation from UCI_OP_FSYNC on that is about files or names, UCI_OP_READ and UCI_OP_WRITE.
 * Return: its result, -EINVAL for others. It is tried again when a signal interrupts it. */
int32_t uci_blocking_call(const struct uci_operation *operation);

/* Nobody takes @result of a call: give back what it holds. */
void uci_blocking_undo(const struct uci_operation *operation, int32_t result);
