/*
 * What people are told when io_uring is not used: why, and what to change.
 *
 * The kernel answers EPERM for three different knobs; they are told apart by what can be read
 * beside it.
 */
#include "choice/sentences.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uc/error.h>
#include <uc/feature.h>

#include "choice/features.h"
#include "pool/pool.h"

#define SYSCALLS "io_uring_setup io_uring_enter io_uring_register"

enum cause {
    CAUSE_OTHER,
    CAUSE_SYSCTL,
    CAUSE_SECCOMP,
    CAUSE_MODULE, /* SELinux or another */
    CAUSE_MISSING,
    CAUSE_BROKEN,
    CAUSE_MEMLOCK,
    CAUSE_DESCRIPTORS,
    CAUSE_TOO_OLD,
};

static enum cause cause_of_permission(const struct uci_policies *policies)
{
    if (policies->sysctl_disabled > 0)
        return CAUSE_SYSCTL;
    return policies->seccomp_mode == 2 ? CAUSE_SECCOMP : CAUSE_MODULE;
}

static enum cause cause_of(const struct uci_refusal *refusal, const struct uci_policies *policies)
{
    if (refusal->error == -EMFILE || refusal->error == -ENFILE)
        return CAUSE_DESCRIPTORS;
    if (refusal->step == UCI_PROBE_DONE)
        return CAUSE_TOO_OLD;
    if (refusal->step != UCI_PROBE_SETUP)
        return policies->seccomp_mode == 2 ? CAUSE_SECCOMP : CAUSE_BROKEN;
    switch (refusal->error) {
    case -EPERM:
    case -EACCES:
        return cause_of_permission(policies);
    case -ENOSYS:
        return policies->seccomp_mode == 2 ? CAUSE_SECCOMP : CAUSE_MISSING;
    case -ENOMEM:
        return policies->memlock_exempt || policies->memlock_bytes == UINT64_MAX ? CAUSE_OTHER
                                                                                 : CAUSE_MEMLOCK;
    case -EOPNOTSUPP:
        return CAUSE_TOO_OLD;
    default:
        return CAUSE_OTHER;
    }
}

static const char *text_of_step(enum uci_probe_step step)
{
    switch (step) {
    case UCI_PROBE_ENABLE:
        return "binding a ring to a thread";
    case UCI_PROBE_SOCKETS:
        return "making a socketpair to try it";
    case UCI_PROBE_WAIT:
        return "waiting with a time limit";
    case UCI_PROBE_RECEIVE:
        return "receiving a byte";
    case UCI_PROBE_CANCEL:
        return "cancelling a receive";
    default:
        return "setting up a ring";
    }
}

static void explain_seccomp(const struct uci_refusal *refusal, char *text, size_t bytes)
{
    if (refusal->step == UCI_PROBE_SETUP)
        snprintf(text, bytes,
                 "io_uring is refused (%s) by a seccomp filter, as containers have it by default: "
                 "allow io_uring_setup, io_uring_enter and io_uring_register in the profile",
                 uc_error_name(refusal->error));
    else
        snprintf(text, bytes,
                 "io_uring can be set up, but %s fails (%s), and a seccomp filter is in force: "
                 "allow io_uring_enter and io_uring_register in the profile too",
                 text_of_step(refusal->step), uc_error_name(refusal->error));
}

static void explain_too_old(const struct uci_refusal *refusal, const struct uci_policies *policies,
                            char *text, size_t bytes)
{
    char names[128];

    if (refusal->step == UCI_PROBE_SETUP) {
        snprintf(text, bytes, "Linux %u.%u is too old for io_uring: timed waits came with 5.11",
                 policies->kernel_major, policies->kernel_minor);
    } else if (refusal->lacking) {
        uci_features_write(refusal->lacking, names, sizeof(names));
        snprintf(text, bytes,
                 "Linux %u.%u is too old for io_uring by default: before 6.1 it has to have %s "
                 "(UC_BACKEND=uring does without)",
                 policies->kernel_major, policies->kernel_minor, names);
    } else {
        snprintf(text, bytes,
                 "Linux %u.%u is too old for io_uring by default: 5.15 is the first that is asked "
                 "(UC_BACKEND=uring asks it all the same)",
                 policies->kernel_major, policies->kernel_minor);
    }
}

static void explain_sysctl(const struct uci_policies *policies, char *text, size_t bytes)
{
    if (policies->sysctl_disabled == 1)
        snprintf(text, bytes,
                 "io_uring is switched off for unprivileged users (kernel.io_uring_disabled is 1): "
                 "set it to 0, or add the user to kernel.io_uring_group");
    else
        snprintf(text, bytes,
                 "io_uring is switched off for everyone (kernel.io_uring_disabled is %d): set it "
                 "to 0",
                 policies->sysctl_disabled);
}

static void explain_memlock(const struct uci_policies *policies, char *text, size_t bytes)
{
    const uint32_t buffers = UCI_POOL_COUNT_DEFAULT * UCI_POOL_GROWTH_DEFAULT;

    snprintf(text, bytes,
             "locked memory is limited to %llu KiB for all processes of this user, and the "
             "smallest ring needs %llu KiB of what is left: raise RLIMIT_MEMLOCK to 8 MiB",
             (unsigned long long)policies->memlock_bytes / 1024,
             (unsigned long long)uci_uring_locked_bytes(8, 8, buffers) / 1024);
}

void uci_explain_refusal(const struct uci_refusal *refusal, const struct uci_policies *policies,
                         char *text, size_t bytes)
{
    switch (cause_of(refusal, policies)) {
    case CAUSE_SYSCTL:
        explain_sysctl(policies, text, bytes);
        break;
    case CAUSE_SECCOMP:
        explain_seccomp(refusal, text, bytes);
        break;
    case CAUSE_MODULE:
        snprintf(text, bytes,
                 "io_uring is refused (%s) by a security module (its audit log says which rule): "
                 "allow io_uring for this process",
                 uc_error_name(refusal->error));
        break;
    case CAUSE_MISSING:
        snprintf(text, bytes,
                 "this kernel has no io_uring (ENOSYS): it is built without it, or a sandbox "
                 "stands in for it");
        break;
    case CAUSE_MEMLOCK:
        explain_memlock(policies, text, bytes);
        break;
    case CAUSE_DESCRIPTORS:
        snprintf(text, bytes, "no descriptor is free for a ring (%s): raise RLIMIT_NOFILE",
                 uc_error_name(refusal->error));
        break;
    case CAUSE_TOO_OLD:
        explain_too_old(refusal, policies, text, bytes);
        break;
    case CAUSE_BROKEN:
    case CAUSE_OTHER:
        snprintf(text, bytes, "io_uring does not work here: %s fails (%s)",
                 text_of_step(refusal->step), uc_error_name(refusal->error));
        break;
    }
}

void uci_explain_switched_off(uint64_t features, char *text, size_t bytes)
{
    char names[200];

    uci_features_write(features, names, sizeof(names));
    snprintf(text, bytes, "UC_DISABLE switches off %s", names);
}

static void remedy_sysctl(const struct uci_policies *policies, char *text, size_t bytes)
{
    snprintf(text, bytes,
             "now\tsysctl -w kernel.io_uring_disabled=0\n"
             "/etc/sysctl.d/io_uring.conf\tkernel.io_uring_disabled = 0\n"
             "%s",
             policies->sysctl_disabled == 1
                 ? "for one group\tsysctl -w kernel.io_uring_group=$(id -g)\n"
                 : "");
}

static void remedy_seccomp(char *text, size_t bytes)
{
    snprintf(text, bytes,
             "docker\tdocker run --security-opt seccomp=profile.json ...\n"
             "profile.json\t{\"names\": [\"io_uring_setup\", \"io_uring_enter\", "
             "\"io_uring_register\"], \"action\": \"SCMP_ACT_ALLOW\"}, in \"syscalls\" of docker's "
             "default profile\n"
             "kubernetes\tseccompProfile: {type: Localhost, localhostProfile: profile.json}\n"
             "systemd\tSystemCallFilter=" SYSCALLS ", beside the unit's own list\n");
}

void uci_remedy_memlock(char *text, size_t bytes)
{
    snprintf(text, bytes,
             "shell\tulimit -l 8192\n"
             "docker\tdocker run --ulimit memlock=8388608 ...\n"
             "systemd\tLimitMEMLOCK=8M\n"
             "/etc/security/limits.conf\t* - memlock 8192\n");
}

void uci_remedy_refusal(const struct uci_refusal *refusal, const struct uci_policies *policies,
                        char *text, size_t bytes)
{
    text[0] = '\0';
    switch (cause_of(refusal, policies)) {
    case CAUSE_SYSCTL:
        remedy_sysctl(policies, text, bytes);
        break;
    case CAUSE_SECCOMP:
        remedy_seccomp(text, bytes);
        break;
    case CAUSE_MODULE:
        snprintf(text, bytes, "SELinux\tausearch -m AVC -ts recent | audit2allow\n");
        break;
    case CAUSE_MEMLOCK:
        uci_remedy_memlock(text, bytes);
        break;
    case CAUSE_DESCRIPTORS:
        snprintf(text, bytes,
                 "shell\tulimit -n 65536\n"
                 "docker\tdocker run --ulimit nofile=65536 ...\n"
                 "systemd\tLimitNOFILE=65536\n");
        break;
    case CAUSE_MISSING:
    case CAUSE_TOO_OLD:
        snprintf(text, bytes, "kernel\tLinux 6.1 or later; 6.15 has all that libuc wants\n");
        break;
    case CAUSE_BROKEN:
    case CAUSE_OTHER:
        break;
    }
}

void uci_remedy_features(uint64_t missing, char *text, size_t bytes)
{
    struct uc_feature_info info = {.size = sizeof(info)};
    unsigned major, minor, newest = 0;

    text[0] = '\0';
    for (uint64_t bit = 1; uc_feature_describe(bit, &info) == 0; bit *= 2) {
        if (!(missing & bit) || sscanf(info.since, "%u.%u", &major, &minor) != 2)
            continue;
        if ((major << 16 | minor) > newest)
            newest = major << 16 | minor;
    }
    if (newest)
        snprintf(text, bytes, "kernel\tLinux %u.%u or later\n", newest >> 16, newest & 0xffff);
}
