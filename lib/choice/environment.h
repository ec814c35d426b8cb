/* What the environment asks for; see the head of uc/probe.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct uci_environment {
    uint32_t backend;      /* UC_BACKEND_*, of the variable UC_BACKEND */
    uint64_t features_off; /* UC_FEATURE_*, of UC_DISABLE, and what depends on them */
};

/* Return: 0, or -EINVAL for a word that is not known; then @why (of @bytes, may be NULL) is a
 * sentence that names it. */
int uci_environment_read(struct uci_environment *ret_environment, char *why, size_t bytes);

/* The word for a backend, as UC_BACKEND has it; NULL if there is none. */
const char *uci_backend_word(uint32_t backend);
