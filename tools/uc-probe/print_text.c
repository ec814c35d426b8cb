/* The survey for people: one short line for each thing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "survey.h"

enum colour {
    PLAIN,
    GOOD,
    POOR,
    BAD,
    TITLE,
};

static bool is_coloured;

static void print_coloured(enum colour colour, const char *text)
{
    static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[1m"};

    if (is_coloured && colour != PLAIN)
        printf("%s%s\033[0m", codes[colour], text);
    else
        printf("%s", text);
}

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
    printf("memlock   ");
    if (probe->memlock_bytes == UINT64_MAX)
        printf("unlimited");
    else
        printf("%llu KiB", (unsigned long long)probe->memlock_bytes / 1024);
    printf("%s", probe->memlock_exempt ? ", does not apply (CAP_IPC_LOCK)" : "");
    if (probe->memlock_needed)
        printf("; a ring takes %llu KiB\n", (unsigned long long)probe->memlock_needed / 1024);
    else
        printf("; this kernel charges no rings\n");
}

static void print_verdict(const struct uc_probe *probe)
{
    printf("verdict   ");
    if (probe->verdict == UC_VERDICT_FULL)
        print_coloured(GOOD, "full speed");
    else if (probe->verdict == UC_VERDICT_NONE)
        print_coloured(BAD, "no ring can be made");
    else if (probe->backend == UC_BACKEND_EPOLL)
        print_coloured(POOR, "degraded: epoll in place of io_uring");
    else
        print_coloured(POOR, "degraded: io_uring with less than libuc wants");
    printf("\n");
    if (probe->reason[0])
        printf("because   %s\n", probe->reason);
}

static void print_io_uring(const struct uc_probe *probe)
{
    printf("io_uring  ");
    if (probe->error == 0)
        print_coloured(GOOD, "yes");
    else if (probe->error == -ECANCELED)
        print_coloured(POOR, "not asked");
    else if (probe->error == -EINVAL)
        print_coloured(BAD, "not asked, EINVAL");
    else {
        print_coloured(BAD, "no, ");
        print_coloured(BAD, uc_error_name(probe->error));
    }
    printf("\n");
}

static void print_feature(const struct feature *feature, bool is_uring)
{
    static const char *const uses[] = {"", " (where a better one is missing)", " (on request)"};

    printf("%-18s %-5s  ", feature->is.name, feature->is.since);
    if (feature->off)
        print_coloured(POOR, "off");
    else if (!is_uring)
        print_coloured(PLAIN, "-");
    else if (feature->works)
        print_coloured(GOOD, "yes");
    else
        print_coloured(feature->is.use == UC_FEATURE_USE_ALWAYS ? BAD : PLAIN, "no");
    printf("%*s  %s%s", feature->off || (is_uring && feature->works) ? 0 : (is_uring ? 1 : 2), "",
           feature->is.purpose, uses[feature->is.use]);
    if (is_uring && (feature->off || !feature->works))
        printf("; instead: %s", feature->is.instead);
    printf("\n");
}

static void print_features(const struct survey *survey)
{
    printf("\n");
    print_coloured(TITLE, "feature            since  here");
    printf("\n");
    for (uint32_t i = 0; i < survey->feature_count; i++)
        print_feature(&survey->features[i], survey->probe.error == 0);
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

static void print_ring(const struct uc_ring_info *ring)
{
    printf("\n");
    print_coloured(TITLE, "the ring that libuc makes by default");
    printf("\n  %-10s%s\n", "backend", backend_word(ring->backend));
    printf("  %-10s%u to submit, %u to complete\n", "entries", ring->sq_entries, ring->cq_entries);
    print_names("features", ring->features);
    print_names("stripped", ring->features_stripped);
    if (ring->halvings || ring->retries)
        printf("  %-10shalved %u times, tried again %u times\n", "memory", ring->halvings,
               ring->retries);
}

static void print_remedy(const char *remedy)
{
    if (!*remedy)
        return;
    printf("\n");
    print_coloured(TITLE, "what to change");
    printf("\n");
    while (*remedy) {
        int place = (int)strcspn(remedy, "\t");
        int text = (int)strcspn(remedy + place + 1, "\n");

        printf("  %.*s: %.*s\n", place, remedy, text, remedy + place + 1);
        remedy += place + 1 + text + 1;
    }
}

void print_text(const struct survey *survey, bool colours)
{
    const struct uc_probe *probe = &survey->probe;

    is_coloured = colours;
    printf("libuc     %s\n", uc_version());
    printf("kernel    %s\n", probe->kernel);
    print_verdict(probe);
    print_io_uring(probe);
    printf("sysctl    %s\n", sysctl_text(probe->sysctl_disabled));
    printf("seccomp   %s\n", seccomp_text(probe->seccomp_mode));
    print_memlock(probe);
    print_remedy(probe->remedy);
    print_features(survey);
    if (survey->ring_error == 0)
        print_ring(&survey->ring);
}
