/* What can be read about this process and its kernel without touching io_uring. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct uci_policies {
    uint32_t kernel_major, kernel_minor; /* 0.0: unknown */
    char kernel[64];
    int32_t sysctl_disabled; /* as struct uc_probe has them */
    int32_t seccomp_mode;
    uint64_t memlock_bytes;
    bool memlock_exempt;
};

void uci_policies_read(struct uci_policies *ret_policies);
void uci_policies_read_kernel(struct uci_policies *policies);

static inline bool uci_kernel_is(const struct uci_policies *policies, uint32_t major,
                                 uint32_t minor)
{
    return policies->kernel_major > major ||
           (policies->kernel_major == major && policies->kernel_minor >= minor);
}
