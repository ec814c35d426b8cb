/*
 * load_options.c - the command line of the load generator
 */
#include "load.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bench-load echo|http --port N [options]     (connects to 127.0.0.1 only)\n"
    "  --connections N    how many at once (1)\n"
    "  --size N           echo: bytes per message (1024); http: body bytes expected (0: any)\n"
    "  --depth N          requests outstanding per connection (1)\n"
    "  --seconds S        length of the measured window (2)\n"
    "  --count N          end the window after N answers\n"
    "  --warm-up S        load before the window (0.3)\n"
    "  --stall S          fail when no answer comes for so long (10)\n"
    "  --path P           http: what to GET; {key} becomes the place in the pattern (/)\n"
    "  --verify           compare every byte that comes back\n"
    "  --discard          drop received bytes inside the kernel: a cheaper reader\n"
    "  --progress         JSON lines on standard error\n"
    "  --server-pid N     measure this process's CPU time over the window\n";

enum {
    OPT_PORT = 256,
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
    OPT_HELP,
};

static const struct option long_options[] = {
    {"port", required_argument, NULL, OPT_PORT},
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
    if (!options->port)
        return "--port is missing";
    if (options->dialogue == &dialogue_echo && !options->size)
        return "--size must be at least 1 for echo";
    if (options->discard && (options->verify || options->dialogue != &dialogue_echo))
        return "--discard goes with echo, and without --verify";
    if ((uint64_t)options->connections * options->depth > (1u << 24))
        return "--connections times --depth is over 16 million";
    return NULL;
}

int load_options_parse(struct load_options *options, int argc, char **argv)
{
    const char *complaint;
    bool http;
    int option, index = 0;

    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : -1;
    }
    http = !strcmp(argv[1], "http");
    if (!http && strcmp(argv[1], "echo")) {
        fprintf(stderr, "bench-load: %s: the mode is echo or http\n", argv[1]);
        return 2;
    }
    *options = (struct load_options){
        .dialogue = http ? &dialogue_http : &dialogue_echo,
        .connections = 1,
        .size = http ? 0 : 1024,
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
