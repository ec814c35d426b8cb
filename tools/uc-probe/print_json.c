/* The survey for programs: one JSON object. */
#include <stdio.h>

#include "survey.h"

static void print_string(const char *key, const char *text, const char *end)
{
    printf("%s: \"", key);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    printf("\"%s", end);
}

static const char *bool_text(bool value)
{
    return value ? "true" : "false";
}

/* A number, or null where there is none. */
static void print_number(const char *key, bool is_known, uint64_t number)
{
    if (is_known)
        printf("  %s: %llu,\n", key, (unsigned long long)number);
    else
        printf("  %s: null,\n", key);
}

static void print_policies(const struct uc_probe *probe)
{
    static const char *const modes[] = {"none", "strict", "filter"};
    bool is_known = probe->seccomp_mode >= 0 && probe->seccomp_mode <= 2;

    print_number("\"sysctl_io_uring_disabled\"", probe->sysctl_disabled >= 0,
                 (uint64_t)probe->sysctl_disabled);
    print_string("  \"seccomp\"", is_known ? modes[probe->seccomp_mode] : "unknown", ",\n");
    print_number("\"memlock_bytes\"", probe->memlock_bytes != UINT64_MAX, probe->memlock_bytes);
    printf("  \"memlock_exempt\": %s,\n", bool_text(probe->memlock_exempt));
}

static void print_features(const struct survey *survey)
{
    static const char *const uses[] = {"always", "fallback", "on-request"};

    printf("  \"features\": [");
    for (uint32_t i = 0; i < survey->feature_count; i++) {
        const struct feature *feature = &survey->features[i];

        print_string(i ? ",\n    {\"name\"" : "\n    {\"name\"", feature->name, ", ");
        print_string("\"since\"", feature->since, ", ");
        print_string("\"use\"", uses[feature->use], ", ");
        printf("\"works\": %s}", bool_text(feature->works));
    }
    printf("\n  ],\n");
}

static void print_names(const char *key, uint64_t features)
{
    const char *separator = "";

    printf("    %s: [", key);
    for (uint32_t i = 0; i < 64; i++) {
        if (!(features >> i & 1))
            continue;
        printf("%s\"%s\"", separator, uc_feature_name(UINT64_C(1) << i));
        separator = ", ";
    }
    printf("],\n");
}

static void print_ring(const struct uc_ring_info *ring)
{
    printf("  \"ring\": {\n");
    print_string("    \"backend\"", ring->backend == UC_BACKEND_URING ? "io_uring" : "unknown",
                 ",\n");
    printf("    \"sq_entries\": %u,\n    \"cq_entries\": %u,\n", ring->sq_entries,
           ring->cq_entries);
    print_names("\"features\"", ring->features);
    print_names("\"stripped\"", ring->features_stripped);
    printf("    \"halvings\": %u,\n    \"retries\": %u,\n", ring->halvings, ring->retries);
    print_string("    \"reason\"", ring->reason, "\n  }\n");
}

void print_json(const struct survey *survey)
{
    static const char *const verdicts[] = {"full", "degraded", "refused"};
    const struct uc_probe *probe = &survey->probe;
    int error = probe->error ? probe->error : survey->ring_error;

    printf("{\n");
    print_string("  \"libuc\"", uc_version(), ",\n");
    print_string("  \"verdict\"", verdicts[survey->verdict], ",\n");
    printf("  \"kernel\": \"%u.%u\",\n", probe->kernel_major, probe->kernel_minor);
    printf("  \"io_uring\": %s,\n", bool_text(survey->verdict != VERDICT_REFUSED));
    if (error)
        print_string("  \"error\"", uc_error_name(error), ",\n");
    else
        printf("  \"error\": null,\n");
    print_string("  \"reason\"", probe->reason, ",\n");
    print_policies(probe);
    print_features(survey);
    if (survey->ring_error == 0)
        print_ring(&survey->ring);
    else
        printf("  \"ring\": null\n");
    printf("}\n");
}
