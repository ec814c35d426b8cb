/*
 * load_options.c - the command line of the load generator
 */
#include "load.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char usage[] =
    "usage: bench-load MODE --port N | --unix PATH [options]     (connects to 127.0.0.1 only)\n"
    "  echo               messages to and fro on connections that stay\n"
    "  udp                the same with datagrams\n"
    "  churn              connect, one message to and fro, close, again\n"
    "  idle               one message to and fro, silence for the window, one more\n"
    "  http               keep-alive GET\n"
    "options:\n"
    "  --unix PATH        a Unix socket instead of a port\n"
    "  --tls              TLS, with whatever certificate the server has\n"
    "  --connections N    how many at once (1)\n"
    "  --size N           bytes per message (1024); http: body bytes expected (0: any)\n"
    "  --depth N          requests outstanding per connection (1)\n"
    "  --seconds S        length of the measured window (2)\n"
    "  --count N          end the window after N answers\n"
    "  --warm-up S        load before the window (0.3)\n"
    "  --stall S          fail when no answer comes for so long (10)\n"
    "  --path P           http: what to GET; {key} becomes the place in the pattern (/)\n"
    "  --verify           compare every byte that comes back\n"
    "  --discard          drop received bytes inside the kernel: a cheaper reader\n"
    "  --progress         JSON lines on standard error\n"
    "  --server-pid N     measure this process's CPU time over the window\n"
    "  --count-syscalls   and count its system calls, which makes them dearer (needs root)\n";

static const struct load_mode modes[] = {
    {.name = "echo", .dialogue = &dialogue_echo, .course = COURSE_TALK},
    {.name = "udp", .dialogue = &dialogue_echo, .course = COURSE_TALK, .datagrams = true},
    {.name = "churn", .dialogue = &dialogue_echo, .course = COURSE_CHURN},
    {.name = "idle", .dialogue = &dialogue_echo, .course = COURSE_IDLE},
    {.name = "http", .dialogue = &dialogue_http, .course = COURSE_TALK},
};

enum {
    OPT_PORT = 256,
    OPT_UNIX,
    OPT_TLS,
    OPT_CONNECTIONS,
    OPT_SIZE,
    OPT_DEPTH,
    OPT_SECONDS,
    OPT_COUNT,
    OPT_WARM_UP,
    OPT_STALL,
    OPT_PATH,
    OPT_VERIFY,
    OPT_DISCARD,
    OPT_PROGRESS,
    OPT_SERVER_PID,
    OPT_COUNT_SYSCALLS,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"port", required_argument, NULL, OPT_PORT},
    {"unix", required_argument, NULL, OPT_UNIX},
    {"tls", no_argument, NULL, OPT_TLS},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"size", required_argument, NULL, OPT_SIZE},
    {"depth", required_argument, NULL, OPT_DEPTH},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"count", required_argument, NULL, OPT_COUNT},
    {"warm-up", required_argument, NULL, OPT_WARM_UP},
    {"stall", required_argument, NULL, OPT_STALL},
    {"path", required_argument, NULL, OPT_PATH},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"discard", no_argument, NULL, OPT_DISCARD},
    {"progress", no_argument, NULL, OPT_PROGRESS},
    {"server-pid", required_argument, NULL, OPT_SERVER_PID},
    {"count-syscalls", no_argument, NULL, OPT_COUNT_SYSCALLS},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_whole(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    char *end;
    unsigned long long value;

    if (*text < '0' || *text > '9')
        return false;
    value = strtoull(text, &end, 10);
    if (*end || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_seconds(const char *text, double min, double max, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !isfinite(value) || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

/* False when @text does not suit @option. */
static bool take(struct load_options *options, int option, const char *text)
{
    uint64_t value = 0;
    bool good = true;

    switch (option) {
    case OPT_PORT:
        good = parse_whole(text, 1, 65535, &value);
        options->port = (uint16_t)value;
        return good;
    case OPT_UNIX:
        options->unix_path = text;
        return strlen(text) < sizeof(((struct sockaddr_un *)0)->sun_path);
    case OPT_TLS:
        return options->tls = true;
    case OPT_CONNECTIONS:
        good = parse_whole(text, 1, LOAD_CONNECTIONS_MAX, &value);
        options->connections = (uint32_t)value;
        return good;
    case OPT_SIZE:
        good = parse_whole(text, 0, LOAD_SIZE_MAX, &value);
        options->size = (uint32_t)value;
        return good;
    case OPT_DEPTH:
        good = parse_whole(text, 1, LOAD_DEPTH_MAX, &value);
        options->depth = (uint32_t)value;
        return good;
    case OPT_SECONDS:
        return parse_seconds(text, 0.01, LOAD_SECONDS_MAX, &options->seconds);
    case OPT_COUNT:
        return parse_whole(text, 1, UINT64_MAX - 1, &options->count);
    case OPT_WARM_UP:
        return parse_seconds(text, 0, LOAD_SECONDS_MAX, &options->warm_up);
    case OPT_STALL:
        return parse_seconds(text, 0.1, LOAD_SECONDS_MAX, &options->stall_seconds);
    case OPT_PATH:
        options->path = text;
        return text[0] == '/' && strlen(text) < 256 && !strpbrk(text, " \r\n");
    case OPT_VERIFY:
        return options->verify = true;
    case OPT_DISCARD:
        return options->discard = true;
    case OPT_PROGRESS:
        return options->progress = true;
    case OPT_COUNT_SYSCALLS:
        return options->count_syscalls = true;
    case OPT_SERVER_PID:
        good = parse_whole(text, 1, INT32_MAX, &value);
        options->server_pid = (int)value;
        return good;
    default:
        return false;
    }
}

/* What single options cannot see. Returns the complaint, or NULL. */
static const char *contradiction(const struct load_options *options)
{
    const struct load_mode *mode = &options->mode;
    bool echo = mode->dialogue == &dialogue_echo;

    if (!options->port == !options->unix_path)
        return "one of --port and --unix is needed";
    if (echo && !options->size)
        return "--size must be at least 1";
    if (options->discard && (options->verify || !echo || mode->datagrams || options->tls))
        return "--discard goes with messages on a stream, without --verify and --tls";
    if (mode->datagrams && (options->tls || options->unix_path))
        return "udp goes without --tls and --unix";
    if (mode->datagrams && (options->size < LOAD_STAMP_BYTES || options->size > LOAD_DATAGRAM_MAX))
        return "a datagram has 16 to 65507 bytes";
    if (options->depth > 1 && (mode->datagrams || mode->course != COURSE_TALK))
        return "--depth goes with echo and http";
    if (options->count_syscalls && !options->server_pid)
        return "--count-syscalls goes with --server-pid";
    if ((uint64_t)options->connections * options->depth > (1u << 24))
        return "--connections times --depth is over 16 million";
    return NULL;
}

static const struct load_mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (!strcmp(modes[i].name, name))
            return &modes[i];
    return NULL;
}

int load_options_parse(struct load_options *options, int argc, char **argv)
{
    const struct load_mode *mode;
    const char *complaint;
    int option, index = 0;

    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : -1;
    }
    mode = find_mode(argv[1]);
    if (!mode) {
        fprintf(stderr, "bench-load: %s: no such mode (bench-load --help)\n", argv[1]);
        return 2;
    }
    *options = (struct load_options){
        .mode = *mode,
        .connections = 1,
        .size = mode->dialogue == &dialogue_http ? 0 : 1024,
        .depth = 1,
        .seconds = 2,
        .warm_up = 0.3,
        .stall_seconds = 10,
        .path = "/",
    };
    argv[1] = argv[0]; /* getopt begins its complaints with it */
    while ((option = getopt_long(argc - 1, argv + 1, "", long_options, &index)) != -1) {
        if (option == OPT_HELP) {
            fputs(usage, stdout);
            return -1;
        }
        if (option == '?')
            return 2;
        if (!take(options, option, optarg)) {
            fprintf(stderr, "bench-load: --%s %s: out of range\n", long_options[index].name,
                    optarg ? optarg : "");
            return 2;
        }
    }
    complaint = optind < argc - 1 ? "unexpected argument" : contradiction(options);
    if (complaint) {
        fprintf(stderr, "bench-load: %s\n", complaint);
        return 2;
    }
    return 0;
}
