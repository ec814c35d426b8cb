#include "choice/policies.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/* A number on the line that begins with @key. Return: false if there is none. */
static bool read_number(const char *path, const char *key, int base, uint64_t *ret_number)
{
    FILE *file = fopen(path, "re");
    size_t key_bytes = strlen(key);
    bool found = false;
    char line[256];

    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, key_bytes) != 0)
            continue;
        *ret_number = strtoull(line + key_bytes, NULL, base);
        found = true;
    }
    fclose(file);
    return found;
}

void uci_policies_read_kernel(struct uci_policies *policies)
{
    struct utsname name;

    policies->kernel_major = policies->kernel_minor = 0;
    policies->kernel[0] = '\0';
    if (uname(&name) < 0)
        return;
    sscanf(name.release, "%u.%u", &policies->kernel_major, &policies->kernel_minor);
    snprintf(policies->kernel, sizeof(policies->kernel), "%.*s", (int)sizeof(policies->kernel) - 1,
             name.release);
}

void uci_policies_read(struct uci_policies *ret_policies)
{
    struct uci_policies found = {.sysctl_disabled = -1, .seccomp_mode = -1};
    struct rlimit limit;
    uint64_t number;

    uci_policies_read_kernel(&found);
    if (read_number("/proc/sys/kernel/io_uring_disabled", "", 10, &number))
        found.sysctl_disabled = (int32_t)number;
    if (read_number("/proc/self/status", "Seccomp:", 10, &number))
        found.seccomp_mode = (int32_t)number;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        found.memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
    if (read_number("/proc/self/status", "CapEff:", 16, &number))
        found.memlock_exempt = number >> CAP_IPC_LOCK & 1;
    *ret_policies = found;
}
