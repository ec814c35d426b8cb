/* Entries of the table that are the same in every backend. */
#pragma once

#include <stdint.h>

int uci_plain_shutdown(int fd);
int uci_plain_close(int fd);
int uci_plain_reset(int fd);
uint32_t uci_plain_accept(int fd, int *connections, uint32_t max);
