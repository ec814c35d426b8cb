/* What people are told: why, and what to change. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "choice/choice.h"

/* One sentence on why io_uring is not used; the policies tell knobs apart. */
void uci_explain_refusal(const struct uci_refusal *refusal, const struct uci_policies *policies,
                         char *text, size_t bytes);

/* One sentence on features that the environment switches off. */
void uci_explain_switched_off(uint64_t features, char *text, size_t bytes);

/* What to change, a line each: the place, a tab, the exact text. */
void uci_remedy_refusal(const struct uci_refusal *refusal, const struct uci_policies *policies,
                        char *text, size_t bytes);
void uci_remedy_memlock(char *text, size_t bytes);
void uci_remedy_features(uint64_t missing, char *text, size_t bytes);
