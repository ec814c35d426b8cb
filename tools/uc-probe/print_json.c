/* The survey for programs: one JSON object. */
#include <stdio.h>
#include <string.h>

#include "survey.h"

static void print_chars(const char *text, size_t count)
{
    putchar('"');
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_string(const char *key, const char *text, const char *end)
{
    printf("%s: ", key);
    print_chars(text, strlen(text));
    printf("%s", end);
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
    print_number("\"memlock_needed\"", true, probe->memlock_needed);
}

static void print_features(const struct survey *survey)
{
    static const char *const uses[] = {"always", "fallback", "on-request"};

    printf("  \"features\": [");
    for (uint32_t i = 0; i < survey->feature_count; i++) {
        const struct feature *feature = &survey->features[i];

        print_string(i ? ",\n    {\"name\"" : "\n    {\"name\"", feature->is.name, ", ");
        print_string("\"since\"", feature->is.since, ", ");
        print_string("\"use\"", uses[feature->is.use], ",\n     ");
        printf("\"works\": %s, \"off\": %s,\n     ", bool_text(feature->works),
               bool_text(feature->off));
        print_string("\"purpose\"", feature->is.purpose, ",\n     ");
        print_string("\"instead\"", feature->is.instead, "}");
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
    print_string("    \"backend\"", backend_word(ring->backend), ",\n");
    printf("    \"sq_entries\": %u,\n    \"cq_entries\": %u,\n", ring->sq_entries,
           ring->cq_entries);
    print_names("\"features\"", ring->features);
    print_names("\"features_stripped\"", ring->features_stripped);
    printf("    \"halvings\": %u,\n    \"retries\": %u,\n", ring->halvings, ring->retries);
    print_string("    \"reason\"", ring->reason, "\n  }\n");
}

/* Lines of "place, tab, text" as a list of pairs. */
static void print_remedy(const char *remedy)
{
    const char *separator = "";

    printf("  \"change\": [");
    while (*remedy) {
        size_t place = strcspn(remedy, "\t"), text = strcspn(remedy + place + 1, "\n");

        printf("%s\n    {\"where\": ", separator);
        print_chars(remedy, place);
        printf(", \"what\": ");
        print_chars(remedy + place + 1, text);
        putchar('}');
        separator = ",";
        remedy += place + 1 + text + 1;
    }
    printf("%s],\n", *separator ? "\n  " : "");
}

void print_json(const struct survey *survey)
{
    static const char *const verdicts[] = {"full", "degraded", "none"};
    const struct uc_probe *probe = &survey->probe;

    printf("{\n");
    print_string("  \"libuc\"", uc_version(), ",\n");
    print_string("  \"verdict\"", verdicts[probe->verdict], ",\n");
    print_string("  \"reason\"", probe->reason, ",\n");
    print_string("  \"kernel\"", probe->kernel, ",\n");
    printf("  \"io_uring\": %s,\n", bool_text(!probe->error));
    if (probe->error)
        print_string("  \"error\"", uc_error_name(probe->error), ",\n");
    else
        printf("  \"error\": null,\n");
    print_policies(probe);
    print_remedy(probe->remedy);
    print_features(survey);
    if (survey->ring_error == 0)
        print_ring(&survey->ring);
    else
        printf("  \"ring\": null\n");
    printf("}\n");
}
