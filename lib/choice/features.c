/* The features of the kernel that libuc knows, bit by bit. */
#include "choice/features.h"

#include <stdio.h>
#include <string.h>
#include <uc/feature.h>

#include "base/check.h"
#include "base/versioned.h"

struct feature {
    const char *name, *since, *purpose, *instead;
    uint32_t use;
};

static const struct feature features[] = {
    {"single-issuer", "6.0", "one thread submits", "the kernel locks at each entry",
     UC_FEATURE_USE_ALWAYS},
    {"defer-taskrun", "6.1", "completions are made when asked for", "coop-taskrun",
     UC_FEATURE_USE_ALWAYS},
    {"coop-taskrun", "5.19", "no interrupt for a completion", "an interrupt for each completion",
     UC_FEATURE_USE_FALLBACK},
    {"submit-all", "5.18", "one bad submission does not stop the batch",
     "the rest is submitted again", UC_FEATURE_USE_ALWAYS},
    {"buffer-ring", "5.19", "the kernel picks a buffer when data is there",
     "every waiting receive holds a buffer", UC_FEATURE_USE_ALWAYS},
    {"multishot-accept", "5.19", "one submission accepts until told to stop",
     "a submission for each connection", UC_FEATURE_USE_ALWAYS},
    {"multishot-recv", "6.0", "one submission receives until told to stop",
     "a submission for each receive", UC_FEATURE_USE_ALWAYS},
    {"recv-bundle", "6.15", "one completion over several buffers", "a completion for each buffer",
     UC_FEATURE_USE_ALWAYS},
    {"no-iowait", "6.15", "idling is not shown as waiting for a disk",
     "monitoring shows idle rings as iowait", UC_FEATURE_USE_ALWAYS},
    {"sqpoll", "5.11", "a kernel thread submits", "operations are submitted in batches",
     UC_FEATURE_USE_REQUEST},
    {"registered-buffers", "5.1", "the pool is registered as fixed buffers",
     "the kernel looks memory up at each operation", UC_FEATURE_USE_REQUEST},
    {"send-zero-copy", "6.1", "what is sent by reference is not copied", "the kernel copies it",
     UC_FEATURE_USE_REQUEST},
};

#define FEATURES (sizeof(features) / sizeof(features[0]))

static const struct {
    const char *name;
    uint64_t features;
} groups[] = {
    {"all", UINT64_MAX},
    {"multishot", UC_FEATURE_MULTISHOT_ACCEPT | UC_FEATURE_MULTISHOT_RECV},
    {"bufring", UC_FEATURE_BUFFER_RING},
    {"bundle", UC_FEATURE_RECV_BUNDLE},
    {"own-memory", UCI_FEATURE_OWN_MEMORY},
    {"files", UCI_FEATURE_FILES},
    {"taskrun", UC_FEATURE_DEFER_TASKRUN | UC_FEATURE_COOP_TASKRUN},
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static const struct feature *find(uint64_t bit)
{
    for (size_t i = 0; i < FEATURES; i++)
        if (bit == UINT64_C(1) << i)
            return &features[i];
    return NULL;
}

UC_EXPORT const char *uc_feature_name(uint64_t bit)
{
    const struct feature *feature = find(bit);

    return feature ? feature->name : NULL;
}

UC_EXPORT int uc_feature_describe(uint64_t bit, struct uc_feature_info *ret_info)
{
    const struct feature *feature = find(bit);
    struct uc_feature_info info;

    CHECK_ARG(feature && ret_info);
    info = (struct uc_feature_info){
        .use = feature->use,
        .name = feature->name,
        .since = feature->since,
        .purpose = feature->purpose,
        .instead = feature->instead,
    };
    return uci_struct_out(ret_info, &info, sizeof(info), sizeof(info));
}

uint64_t uci_features_wanted(void)
{
    uint64_t wanted = 0;

    for (size_t i = 0; i < FEATURES; i++)
        if (features[i].use == UC_FEATURE_USE_ALWAYS)
            wanted |= UINT64_C(1) << i;
    return wanted;
}

uint64_t uci_features_with_dependants(uint64_t bits)
{
    if (bits & UC_FEATURE_SINGLE_ISSUER)
        bits |= UC_FEATURE_DEFER_TASKRUN;
    if (bits & UC_FEATURE_BUFFER_RING)
        bits |= UC_FEATURE_MULTISHOT_RECV;
    if (bits & UC_FEATURE_MULTISHOT_RECV)
        bits |= UC_FEATURE_RECV_BUNDLE;
    return bits;
}

/* Return: the features that a word of @length stands for, 0 if it stands for none. */
static uint64_t features_of_word(const char *word, size_t length)
{
    for (size_t i = 0; i < FEATURES; i++)
        if (strlen(features[i].name) == length && memcmp(features[i].name, word, length) == 0)
            return UINT64_C(1) << i;
    for (size_t i = 0; i < GROUPS; i++)
        if (strlen(groups[i].name) == length && memcmp(groups[i].name, word, length) == 0)
            return groups[i].features;
    return 0;
}

const char *uci_features_parse(const char *list, uint64_t *ret_features)
{
    uint64_t found = 0;
    size_t length;

    for (const char *word = list; *word; word += length) {
        uint64_t more;

        word += strspn(word, ", ");
        length = strcspn(word, ", ");
        more = features_of_word(word, length);
        if (length && !more)
            return word;
        found |= more;
    }
    *ret_features = found;
    return NULL;
}

/* Return: how much of @text is used, with @name behind the others. */
static size_t append(const char *name, char *text, size_t bytes, size_t used)
{
    if (used >= bytes)
        return used;
    return used + (size_t)snprintf(text + used, bytes - used, "%s%s", used ? " " : "", name);
}

void uci_features_write(uint64_t bits, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < FEATURES; i++)
        if (bits >> i & 1)
            used = append(features[i].name, text, bytes, used);
    for (size_t i = 0; i < GROUPS; i++)
        if (!(groups[i].features & ~UCI_FEATURES_PRIVATE) && bits & groups[i].features)
            used = append(groups[i].name, text, bytes, used);
}
