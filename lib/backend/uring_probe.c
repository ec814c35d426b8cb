/*
 * What works here, and if nothing does, which knob refuses it. The kernel answers EPERM for three
 * different knobs; they are told apart by what can be read beside it.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <uc/feature.h>
#include <uc/probe.h>
#include <uc/ring.h>

#include "base/check.h"
#include "base/versioned.h"

static const char *const feature_names[] = {
    "single-issuer", "defer-taskrun",    "coop-taskrun",       "submit-all",
    "buffer-ring",   "multishot-accept", "multishot-recv",     "recv-bundle",
    "no-iowait",     "sqpoll",           "registered-buffers",
};

#define FEATURES (sizeof(feature_names) / sizeof(feature_names[0]))

UC_EXPORT const char *uc_feature_name(uint64_t feature)
{
    for (size_t i = 0; i < FEATURES; i++)
        if (feature == UINT64_C(1) << i)
            return feature_names[i];
    return NULL;
}

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

static void read_policies(struct uc_probe *probe)
{
    struct utsname name;
    struct rlimit limit;
    uint64_t number;

    if (uname(&name) == 0)
        sscanf(name.release, "%u.%u", &probe->kernel_major, &probe->kernel_minor);
    probe->sysctl_disabled = -1;
    if (read_number("/proc/sys/kernel/io_uring_disabled", "", 10, &number))
        probe->sysctl_disabled = (int32_t)number;
    probe->seccomp_mode = -1;
    if (read_number("/proc/self/status", "Seccomp:", 10, &number))
        probe->seccomp_mode = (int32_t)number;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        probe->memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
    if (read_number("/proc/self/status", "CapEff:", 16, &number))
        probe->memlock_exempt = number >> CAP_IPC_LOCK & 1;
}

static void explain_permission(struct uc_probe *probe)
{
    const char *text =
        "io_uring is refused by a security module (see the audit log): allow io_uring for this "
        "process";

    if (probe->sysctl_disabled > 0)
        text = probe->sysctl_disabled == 2
                   ? "io_uring is switched off for everyone: sysctl kernel.io_uring_disabled=0"
                   : "io_uring is switched off for unprivileged users: sysctl "
                     "kernel.io_uring_disabled=0, or add the user to kernel.io_uring_group";
    else if (probe->seccomp_mode == 2)
        text = "io_uring is refused by a seccomp filter, as containers have it by default: allow "
               "io_uring_setup, io_uring_enter and io_uring_register in the profile "
               "(docker: --security-opt seccomp=FILE)";
    snprintf(probe->reason, sizeof(probe->reason), "%s", text);
}

static void explain(struct uc_probe *probe)
{
    switch (probe->error) {
    case 0:
        break;
    case -EPERM:
    case -EACCES:
        explain_permission(probe);
        break;
    case -ENOSYS:
        snprintf(probe->reason, sizeof(probe->reason),
                 probe->seccomp_mode == 2
                     ? "io_uring_setup is answered as missing, by a seccomp filter or a sandbox "
                       "(gVisor): allow it there"
                     : "this kernel has no io_uring (it came with Linux 5.1 and can be built "
                       "without it)");
        break;
    case -ENOMEM:
        snprintf(probe->reason, sizeof(probe->reason),
                 "locked memory is limited to %llu bytes for this user and a ring needs more: "
                 "raise RLIMIT_MEMLOCK to 8 MiB or more (ulimit -l, LimitMEMLOCK=)",
                 (unsigned long long)probe->memlock_bytes);
        break;
    case -EMFILE:
    case -ENFILE:
        snprintf(probe->reason, sizeof(probe->reason),
                 "no descriptor is free for a ring: raise RLIMIT_NOFILE (ulimit -n)");
        break;
    case -EOPNOTSUPP:
        snprintf(probe->reason, sizeof(probe->reason),
                 "this kernel (%u.%u) is too old: Linux 5.11 is the first with timed waits",
                 probe->kernel_major, probe->kernel_minor);
        break;
    default:
        snprintf(probe->reason, sizeof(probe->reason), "io_uring_setup failed: %s",
                 strerror(-probe->error));
    }
}

UC_EXPORT int uc_probe(struct uc_probe *ret_probe)
{
    struct uc_ring_options options = {
        .size = sizeof(options), .sq_entries = 8, .cq_entries = 16, .backend = UC_BACKEND_URING};
    struct uc_ring_info info = {.size = sizeof(info)};
    struct uc_probe probe = {0};
    uc_ring *ring;

    CHECK_ARG(ret_probe);
    read_policies(&probe);
    probe.error = uc_ring_new(&options, &ring);
    if (probe.error == 0) {
        (void)uc_ring_get_info(ring, &info);
        probe.features = info.features;
        uc_ring_free(ring);
    }
    explain(&probe);
    return uci_struct_out(ret_probe, &probe, sizeof(probe), sizeof(probe));
}
