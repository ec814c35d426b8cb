/*
 * Finding out what works: by doing it.
 *
 * A ring with the defaults shows what libuc chooses. Features that it does not ask for by default
 * are tried by rings that do.
 */
#include "survey.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    uint64_t bit;
    const char *since;
    enum use use;
} known[] = {
    {UC_FEATURE_SINGLE_ISSUER, "6.0", USE_ALWAYS},
    {UC_FEATURE_DEFER_TASKRUN, "6.1", USE_ALWAYS},
    {UC_FEATURE_COOP_TASKRUN, "5.19", USE_FALLBACK}, /* for DEFER_TASKRUN */
    {UC_FEATURE_SUBMIT_ALL, "5.18", USE_ALWAYS},
    {UC_FEATURE_BUFFER_RING, "5.19", USE_ALWAYS},
    {UC_FEATURE_MULTISHOT_ACCEPT, "5.19", USE_ALWAYS},
    {UC_FEATURE_MULTISHOT_RECV, "6.0", USE_ALWAYS},
    {UC_FEATURE_RECV_BUNDLE, "6.15", USE_ALWAYS},
    {UC_FEATURE_NO_IOWAIT, "6.15", USE_ALWAYS},
    {UC_FEATURE_SQPOLL, "5.11", USE_ON_REQUEST},
    {UC_FEATURE_REGISTERED_BUFFERS, "5.1", USE_ON_REQUEST},
};

/* Return: the features of a ring made with @options, or 0 if it cannot be made. */
static uint64_t features_with(const struct uc_ring_options *options)
{
    struct uc_ring_info info = {.size = sizeof(info)};
    uc_ring *ring;

    if (uc_ring_new(options, &ring) < 0)
        return 0;
    (void)uc_ring_get_info(ring, &info);
    uc_ring_free(ring);
    return info.features;
}

static struct uc_ring_options small(void)
{
    return (struct uc_ring_options){
        .size = sizeof(struct uc_ring_options),
        .sq_entries = 8,
        .cq_entries = 16,
    };
}

static uint64_t try_fallback(void)
{
    struct uc_ring_options options = small();

    options.features_off = UC_FEATURE_DEFER_TASKRUN;
    return features_with(&options) & UC_FEATURE_COOP_TASKRUN;
}

static uint64_t try_sqpoll(void)
{
    struct uc_ring_options options = small();

    options.sqpoll = UC_SQPOLL_REQUIRE;
    return features_with(&options) & UC_FEATURE_SQPOLL;
}

static uint64_t try_registered(void)
{
    struct uc_pool_options pool_options = {
        .size = sizeof(pool_options),
        .flags = UC_POOL_REGISTER_REQUIRED,
        .buffer_bytes = 4096,
        .buffer_count = 1,
        .buffer_max = 1,
    };
    struct uc_ring_options options = small();
    uint64_t features;

    if (uc_pool_new(&pool_options, &options.pool) < 0)
        return 0;
    features = features_with(&options) & UC_FEATURE_REGISTERED_BUFFERS;
    uc_pool_free(options.pool);
    return features;
}

static void take_features(struct survey *survey, uint64_t works)
{
    const char *name;

    for (uint32_t i = 0; i < FEATURES_MAX && (name = uc_feature_name(UINT64_C(1) << i)); i++) {
        struct feature *feature = &survey->features[survey->feature_count++];

        *feature = (struct feature){
            .name = name,
            .since = "",
            .use = USE_ON_REQUEST,
            .works = works >> i & 1,
        };
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            if (known[k].bit != UINT64_C(1) << i)
                continue;
            feature->since = known[k].since;
            feature->use = known[k].use;
        }
        if (feature->use == USE_ALWAYS && !feature->works && survey->verdict == VERDICT_FULL)
            survey->verdict = VERDICT_DEGRADED;
    }
}

int survey_take(struct survey *survey)
{
    uint64_t works = 0;
    uc_ring *ring;
    int r;

    *survey =
        (struct survey){.probe.size = sizeof(survey->probe), .ring.size = sizeof(survey->ring)};
    r = uc_probe(&survey->probe);
    if (r < 0)
        return r;
    survey->ring_error = uc_ring_new(NULL, &ring);
    if (survey->ring_error == 0) {
        r = uc_ring_get_info(ring, &survey->ring);
        uc_ring_free(ring);
        if (r < 0)
            return r;
        works = survey->ring.features | try_fallback() | try_sqpoll() | try_registered();
    }
    survey->verdict = survey->ring_error < 0 ? VERDICT_REFUSED : VERDICT_FULL;
    /* Smaller than asked for, because memory was refused. */
    if (survey->ring_error == 0 && survey->ring.halvings)
        survey->verdict = VERDICT_DEGRADED;
    take_features(survey, works);
    return 0;
}
