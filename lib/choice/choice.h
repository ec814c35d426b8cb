/* Which backend a ring gets; docs/design/choice.md has the rules. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "choice/policies.h"
#include "uring/probe.h"

/* Why io_uring is not used where nothing else decides. */
struct uci_refusal {
    int error;                /* 0: it is used; else a negative errno */
    enum uci_probe_step step; /* that failed; UCI_PROBE_DONE: the kernel is too old */
    uint64_t lacking;         /* UC_FEATURE_* without which an older kernel is not trusted */
};

/* What follows from a kernel and what it can; pure. */
struct uci_refusal uci_choice_judge(const struct uci_policies *policies,
                                    const struct uci_ability *ability);

/* Ask the kernel, unless it is too old to be asked; nothing is remembered. */
struct uci_refusal uci_choice_find_out(const struct uci_policies *policies,
                                       struct uci_ability *ret_ability);

/* Open the backend that @asked (UC_BACKEND_*), the environment and the kernel agree on. Adds what
 * the environment switches off to @options.
 * Return: 0, -EINVAL for a word in the environment, or the backend's errno. */
int uci_choice_open(uint32_t asked, struct uci_backend_options *options, struct uc_ring_info *info,
                    struct uci_backend **ret_backend);

/* Open the same backend once more, as it was chosen; @info tells of the new one, but why it is this
 * backend stays told. Untouched on failure. */
int uci_choice_reopen(const struct uci_backend_options *options, struct uc_ring_info *info,
                      struct uci_backend **ret_backend);

/* From now on as in a process that has not asked yet; for tests. */
void uci_choice_forget(void);
