/* uc_probe(): what works here, what a ring with the defaults gets, and what to change. */
#include <stdio.h>
#include <string.h>
#include <uc/feature.h>
#include <uc/probe.h>

#include "base/versioned.h"
#include "choice/choice.h"
#include "choice/environment.h"
#include "choice/features.h"
#include "choice/sentences.h"
#include "ring/ring.h"

static void tell_policies(const struct uci_policies *policies, struct uc_probe *probe)
{
    probe->kernel_major = policies->kernel_major;
    probe->kernel_minor = policies->kernel_minor;
    probe->sysctl_disabled = policies->sysctl_disabled;
    probe->seccomp_mode = policies->seccomp_mode;
    probe->memlock_bytes = policies->memlock_bytes;
    probe->memlock_exempt = policies->memlock_exempt;
    if (uci_kernel_is(policies, 6, 14) || !uci_kernel_is(policies, 5, 12))
        probe->memlock_needed =
            uci_uring_locked_bytes(UCI_SQ_ENTRIES_DEFAULT, UCI_CQ_ENTRIES_DEFAULT,
                                   UCI_POOL_COUNT_DEFAULT * UCI_POOL_GROWTH_DEFAULT);
    memcpy(probe->kernel, policies->kernel, sizeof(probe->kernel));
}

/* What io_uring can, whether @ring, one with the defaults, uses it or not. */
static void ask_uring(const struct uci_policies *policies, const struct uc_ring_info *ring,
                      struct uc_probe *probe)
{
    struct uci_ability ability;
    struct uci_refusal refusal = uci_choice_find_out(policies, &ability);

    if (probe->asked_backend == UC_BACKEND_URING && refusal.step == UCI_PROBE_DONE) {
        uci_uring_probe(&ability);
        refusal = (struct uci_refusal){.error = ability.error, .step = ability.step};
    }
    if (ability.error == 0)
        probe->features = ability.features | uci_uring_probe_special();
    if (ring->backend == UC_BACKEND_URING) { /* whatever there was no memory for then */
        probe->features |= ring->features;
        return;
    }
    probe->error = refusal.error;
    if (refusal.error == 0)
        return;
    uci_explain_refusal(&refusal, policies, probe->reason, sizeof(probe->reason));
    uci_remedy_refusal(&refusal, policies, probe->remedy, sizeof(probe->remedy));
}

static void add_line(struct uc_probe *probe, const char *line)
{
    size_t used = strlen(probe->remedy);

    snprintf(probe->remedy + used, sizeof(probe->remedy) - used, "%s", line);
}

/* What of a ring with the defaults is less than full speed. */
static void judge_ring(const struct uc_ring_info *info, struct uc_probe *probe)
{
    uint64_t missing = uci_features_wanted() & ~info->features;

    probe->backend = info->backend;
    probe->verdict = UC_VERDICT_DEGRADED;
    if (info->backend == UC_BACKEND_URING && !missing && !info->halvings) {
        probe->verdict = UC_VERDICT_FULL;
        return;
    }
    if (!probe->reason[0])
        snprintf(probe->reason, sizeof(probe->reason), "%s", info->reason);
    if (probe->remedy[0])
        return;
    if (probe->asked_backend == UC_BACKEND_EPOLL)
        add_line(probe, "environment\tunset UC_BACKEND\n");
    else if (info->halvings)
        uci_remedy_memlock(probe->remedy, sizeof(probe->remedy));
    else
        uci_remedy_features(missing & info->features_stripped, probe->remedy,
                            sizeof(probe->remedy));
    if (info->backend == UC_BACKEND_URING && missing & probe->features_off)
        add_line(probe, "environment\tunset UC_DISABLE\n");
}

/* Without a ring there is no speed at all. */
static void judge_failure(int error, const struct uci_policies *policies, struct uc_probe *probe)
{
    struct uci_refusal refusal = {.error = error, .step = UCI_PROBE_SETUP};

    probe->verdict = UC_VERDICT_NONE;
    if (!probe->error)
        probe->error = error;
    if (probe->reason[0])
        return;
    uci_explain_refusal(&refusal, policies, probe->reason, sizeof(probe->reason));
    uci_remedy_refusal(&refusal, policies, probe->remedy, sizeof(probe->remedy));
}

/* Make a ring with the defaults. First of all, because the locked memory of others comes back late. */
static int ask_ring(struct uc_ring_info *info)
{
    uc_ring *ring;
    int r = uc_ring_new(NULL, &ring);

    *info = (struct uc_ring_info){.size = sizeof(*info)};
    if (r < 0)
        return r;
    (void)uc_ring_get_info(ring, info);
    uc_ring_free(ring);
    return 0;
}

UC_EXPORT int uc_probe(struct uc_probe *ret_probe)
{
    struct uci_environment environment = {0};
    struct uci_policies policies;
    struct uc_probe probe = {0};
    struct uc_ring_info info;
    int r;

    CHECK_ARG(ret_probe);
    uci_policies_read(&policies);
    tell_policies(&policies, &probe);
    probe.error = uci_environment_read(&environment, probe.reason, sizeof(probe.reason));
    if (probe.error < 0) {
        probe.verdict = UC_VERDICT_NONE;
        add_line(&probe, "environment\tunset UC_BACKEND UC_DISABLE\n");
        return uci_struct_out(ret_probe, &probe, sizeof(probe), sizeof(probe));
    }
    probe.asked_backend = environment.backend;
    probe.features_off = environment.features_off & ~UCI_FEATURES_PRIVATE;
    r = ask_ring(&info);
    if (environment.backend == UC_BACKEND_EPOLL) {
        probe.error = -ECANCELED;
    } else if (uci_at_fork_hold() == 0) {
        ask_uring(&policies, &info, &probe);
        uci_at_fork_release();
    }
    if (r < 0)
        judge_failure(r, &policies, &probe);
    else
        judge_ring(&info, &probe);
    return uci_struct_out(ret_probe, &probe, sizeof(probe), sizeof(probe));
}
