/*
 * Which backend a ring gets: as its options say, else as the environment says, else io_uring where
 * it works and epoll where it does not. What the kernel can is found out once in a process.
 */
#include "choice/choice.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "choice/environment.h"
#include "choice/features.h"
#include "choice/sentences.h"
#include "fork/fork.h"
#include "pool/pool.h"

/* Without it io_uring is not worth while on kernels that are not trusted anyway. */
#define NEEDED_BEFORE_6_1 UC_FEATURE_BUFFER_RING

/* What was found out, for the process whose origin stands beside it. Two threads may find out at
 * the same time: either answer is right. */
static _Atomic uint64_t known_origin;
static _Atomic uint64_t known_refusal;

static uint64_t pack(const struct uci_refusal *refusal)
{
    return (uint64_t)(uint32_t)-refusal->error | (uint64_t)refusal->step << 16 |
           refusal->lacking << 24;
}

static struct uci_refusal unpack(uint64_t word)
{
    return (struct uci_refusal){
        .error = -(int)(word & 0xffff),
        .step = (enum uci_probe_step)(word >> 16 & 0xff),
        .lacking = word >> 24,
    };
}

struct uci_refusal uci_choice_judge(const struct uci_policies *policies,
                                    const struct uci_ability *ability)
{
    if (!uci_kernel_is(policies, 5, 15))
        return (struct uci_refusal){.error = -EOPNOTSUPP};
    if (ability->error < 0)
        return (struct uci_refusal){.error = ability->error, .step = ability->step};
    if (!uci_kernel_is(policies, 6, 1) && NEEDED_BEFORE_6_1 & ~ability->features)
        return (struct uci_refusal){
            .error = -EOPNOTSUPP,
            .lacking = NEEDED_BEFORE_6_1 & ~ability->features,
        };
    return (struct uci_refusal){0};
}

struct uci_refusal uci_choice_find_out(const struct uci_policies *policies,
                                       struct uci_ability *ret_ability)
{
    *ret_ability = (struct uci_ability){.error = -EOPNOTSUPP, .step = UCI_PROBE_SETUP};
    if (uci_kernel_is(policies, 5, 15))
        uci_uring_probe(ret_ability);
    return uci_choice_judge(policies, ret_ability);
}

static bool is_want_of_descriptors(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

/* Memory and descriptors may be there the next time. */
static bool is_lasting(const struct uci_refusal *refusal)
{
    return refusal->error != -ENOMEM && refusal->error != -EAGAIN && refusal->error != -ETIME &&
           !is_want_of_descriptors(refusal->error);
}

static struct uci_refusal what_is_known(void)
{
    struct uci_policies policies;
    struct uci_ability ability;
    struct uci_refusal refusal;
    uint64_t origin = uci_origin();

    if (origin && atomic_load(&known_origin) == origin)
        return unpack(atomic_load(&known_refusal));
    uci_policies_read_kernel(&policies);
    refusal = uci_choice_find_out(&policies, &ability);
    if (is_lasting(&refusal)) {
        atomic_store(&known_refusal, pack(&refusal));
        atomic_store(&known_origin, origin);
    }
    return refusal;
}

void uci_choice_forget(void)
{
    atomic_store(&known_origin, 0);
}

/* Conditions that epoll cannot fulfil. */
static bool is_uring_required(const struct uci_backend_options *options)
{
    return options->sqpoll == UC_SQPOLL_REQUIRE || options->pool->flags & UC_POOL_REGISTER_REQUIRED;
}

static int open_either(const struct uci_backend_options *options, struct uc_ring_info *info,
                       struct uci_backend **ret_backend)
{
    struct uci_refusal refusal = what_is_known();
    struct uci_policies policies;
    int r;

    if (refusal.error == 0) {
        refusal.step = UCI_PROBE_SETUP;
        refusal.error = uci_backend_uring.open(options, info, ret_backend);
    }
    if (refusal.error == 0)
        return 0;
    if (is_want_of_descriptors(refusal.error) || is_uring_required(options))
        return refusal.error;
    *info = (struct uc_ring_info){.retries = info->retries};
    r = uci_backend_epoll.open(options, info, ret_backend);
    if (r < 0)
        return r;
    uci_policies_read(&policies);
    uci_explain_refusal(&refusal, &policies, info->reason, sizeof(info->reason));
    return 0;
}

/* What the environment changed is told behind what is amiss anyway. */
static void explain_environment(uint64_t features_off, bool is_epoll_by_it,
                                struct uc_ring_info *info)
{
    size_t used = strlen(info->reason);

    if (is_epoll_by_it && !used) {
        snprintf(info->reason, sizeof(info->reason),
                 "epoll is used because UC_BACKEND=epoll is in the environment");
    } else if (features_off && info->backend == UC_BACKEND_URING) {
        if (used)
            used += (size_t)snprintf(info->reason + used, sizeof(info->reason) - used, "; ");
        if (used < sizeof(info->reason))
            uci_explain_switched_off(features_off, info->reason + used,
                                     sizeof(info->reason) - used);
    }
}

int uci_choice_open(uint32_t asked, struct uci_backend_options *options, struct uc_ring_info *info,
                    struct uci_backend **ret_backend)
{
    struct uci_environment environment;
    uint32_t backend = asked;
    int r = uci_environment_read(&environment, NULL, 0);

    if (r < 0)
        return r;
    options->features_off |= environment.features_off;
    options->features_off_by_environment = environment.features_off;
    if (backend == UC_BACKEND_AUTO)
        backend = environment.backend;
    if (backend == UC_BACKEND_URING)
        r = uci_backend_uring.open(options, info, ret_backend);
    else if (backend == UC_BACKEND_EPOLL)
        r = uci_backend_epoll.open(options, info, ret_backend);
    else
        r = open_either(options, info, ret_backend);
    if (r == 0)
        explain_environment(environment.features_off,
                            asked == UC_BACKEND_AUTO && backend == UC_BACKEND_EPOLL, info);
    return r;
}

int uci_choice_reopen(const struct uci_backend_options *options, struct uc_ring_info *info,
                      struct uci_backend **ret_backend)
{
    struct uc_ring_info again = {.restriction = info->restriction};
    bool is_uring = info->backend == UC_BACKEND_URING;
    int r =
        (is_uring ? &uci_backend_uring : &uci_backend_epoll)->open(options, &again, ret_backend);

    if (r < 0)
        return r;
    if (is_uring)
        explain_environment(options->features_off_by_environment, false, &again);
    else
        memcpy(again.reason, info->reason, sizeof(again.reason));
    *info = again;
    return 0;
}
