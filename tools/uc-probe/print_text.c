/* The survey for people: one short line for each thing. */
#include <stdio.h>

#include "survey.h"

static const char *sysctl_text(int32_t disabled)
{
    switch (disabled) {
    case 0:
        return "kernel.io_uring_disabled = 0: everyone may";
    case 1:
        return "kernel.io_uring_disabled = 1: only root and kernel.io_uring_group may";
    case 2:
        return "kernel.io_uring_disabled = 2: nobody may";
    default:
        return "no kernel.io_uring_disabled: it came with Linux 6.6";
    }
}

static const char *seccomp_text(int32_t mode)
{
    switch (mode) {
    case 0:
        return "no filter";
    case 1:
        return "strict mode: nothing but read, write and exit";
    case 2:
        return "a filter is in force";
    default:
        return "unknown";
    }
}

static void print_memlock(const struct uc_probe *probe)
{
    const char *exempt = probe->memlock_exempt ? ", does not apply (CAP_IPC_LOCK)" : "";

    if (probe->memlock_bytes == UINT64_MAX)
        printf("memlock   unlimited%s\n", exempt);
    else
        printf("memlock   %llu KiB%s\n", (unsigned long long)probe->memlock_bytes / 1024, exempt);
}

static void print_missing(const struct survey *survey)
{
    printf("io_uring  yes, degraded:");
    for (uint32_t i = 0; i < survey->feature_count; i++)
        if (survey->features[i].use == USE_ALWAYS && !survey->features[i].works)
            printf(" no %s (Linux %s)", survey->features[i].name, survey->features[i].since);
    printf("%s\n", survey->ring.halvings ? " smaller rings, for want of memory" : "");
}

static void print_use(const struct survey *survey)
{
    if (survey->verdict == VERDICT_REFUSED)
        printf("io_uring  no, %s: %s\n",
               uc_error_name(survey->probe.error ? survey->probe.error : survey->ring_error),
               survey->probe.error ? survey->probe.reason : "a ring with the defaults is refused");
    else if (survey->verdict == VERDICT_FULL)
        printf("io_uring  yes\n");
    else
        print_missing(survey);
}

static const char *use_text(enum use use)
{
    switch (use) {
    case USE_FALLBACK:
        return "in place of defer-taskrun";
    case USE_ON_REQUEST:
        return "on request";
    default:
        return "";
    }
}

static void print_features(const struct survey *survey)
{
    printf("\nfeature            since  works\n");
    for (uint32_t i = 0; i < survey->feature_count; i++) {
        const struct feature *feature = &survey->features[i];
        const char *use = use_text(feature->use);

        printf("%-18s %-5s  %s%s%s\n", feature->name, feature->since, feature->works ? "yes" : "no",
               *use ? (feature->works ? "    " : "     ") : "", use);
    }
}

static void print_names(const char *label, uint64_t features)
{
    const char *separator = "";

    printf("  %-10s%s", label, features ? "" : "none");
    for (uint32_t i = 0; i < 64; i++) {
        if (!(features >> i & 1))
            continue;
        printf("%s%s", separator, uc_feature_name(UINT64_C(1) << i));
        separator = " ";
    }
    printf("\n");
}

static void print_ring(const struct survey *survey)
{
    const struct uc_ring_info *ring = &survey->ring;

    printf("\nthe ring that libuc makes by default\n");
    printf("  %-10s%s\n", "backend", ring->backend == UC_BACKEND_URING ? "io_uring" : "unknown");
    printf("  %-10s%u to submit, %u to complete\n", "entries", ring->sq_entries, ring->cq_entries);
    print_names("features", ring->features);
    print_names("stripped", ring->features_stripped);
    if (ring->halvings || ring->retries)
        printf("  %-10shalved %u times, tried again %u times\n", "memory", ring->halvings,
               ring->retries);
    if (*ring->reason)
        printf("  %-10s%s\n", "reason", ring->reason);
    else if (ring->features_stripped)
        printf("  %-10sthis kernel is older than what was stripped\n", "reason");
}

void print_text(const struct survey *survey)
{
    const struct uc_probe *probe = &survey->probe;

    printf("libuc     %s\n", uc_version());
    printf("kernel    %u.%u\n", probe->kernel_major, probe->kernel_minor);
    print_use(survey);
    printf("sysctl    %s\n", sysctl_text(probe->sysctl_disabled));
    printf("seccomp   %s\n", seccomp_text(probe->seccomp_mode));
    print_memlock(probe);
    print_features(survey);
    if (survey->ring_error == 0)
        print_ring(survey);
}
