/*
 * zero_copy.c - what sending without a copy saves, or costs
 *
 *   bench-zero-copy BYTES [ADDRESS PORT]
 *
 * Sends pieces of BYTES over one TCP connection, in rounds with a copy and without in turn about,
 * and prints the medians of rate and of CPU time per GiB, kernel included, of this process and of
 * the other side where that is here too. The other side reads and throws away: a process of its own
 * on 127.0.0.1, or whatever listens at ADDRESS and PORT, an IPv4 address on another machine, such as
 * `nc -l PORT >/dev/null`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uc.h>

#define ROUNDS 15 /* of each kind */
#define ROUND_BYTES (UINT64_C(1) << 28)
#define DEPTH 4 /* pieces queued at a time */
#define EVENTS 64

struct measurement {
    double rate, cpu; /* bytes a second, seconds per GiB */
};

static void die(const char *what, int error)
{
    fprintf(stderr, "bench-zero-copy: %s: %s\n", what, strerror(error));
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The reader's CPU time counts, where it can be read. */
static clockid_t reader_clock;
static bool has_reader;

static double cpu_seconds(void)
{
    return seconds(CLOCK_PROCESS_CPUTIME_ID) + (has_reader ? seconds(reader_clock) : 0);
}

static void read_all(int listener)
{
    static uint8_t sink[1 << 18];
    int fd = accept(listener, NULL, NULL);

    while (read(fd, sink, sizeof(sink)) > 0)
        ;
    _exit(0);
}

/* A reader on this machine. Return: its process. */
static pid_t start_reader(struct sockaddr_in *ret_address)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(any);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t reader;

    if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof(any)) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&any, &bytes) < 0)
        die("listening", errno);
    reader = fork();
    if (reader < 0)
        die("fork", errno);
    if (reader == 0)
        read_all(listener);
    close(listener);
    has_reader = clock_getcpuclockid(reader, &reader_clock) == 0;
    *ret_address = any;
    return reader;
}

static uint64_t take_back(uc_ring *ring, int64_t timeout_ns)
{
    struct uc_event events[EVENTS];
    int n = uc_ring_wait(ring, events, EVENTS, timeout_ns);
    uint64_t references = 0;

    if (n < 0 && n != -EINTR)
        die("waiting", -n);
    for (int i = 0; i < n; i++) {
        if (events[i].kind != UC_EVENT_SENT)
            die("sending", -events[i].result);
        references += (uint64_t)events[i].result;
    }
    return references;
}

static struct measurement measure(uc_ring *ring, uc_fd *fd, const uint8_t *memory, uint64_t bytes,
                                  uint32_t flags)
{
    uint64_t pieces = ROUND_BYTES / bytes, sent = 0, back = 0;
    double cpu = cpu_seconds(), begin = seconds(CLOCK_MONOTONIC);

    while (back < pieces) {
        for (; sent < pieces && sent - back < DEPTH; sent++) {
            int64_t r = uc_fd_send(fd, memory + sent % DEPTH * bytes, bytes, flags);

            if (r < 0)
                die("sending", (int)-r);
        }
        back += take_back(ring, -1);
    }
    return (struct measurement){
        .rate = (double)(pieces * bytes) / (seconds(CLOCK_MONOTONIC) - begin),
        .cpu = (cpu_seconds() - cpu) / (double)(pieces * bytes) * (1 << 30),
    };
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), by_size);
    return values[ROUNDS / 2];
}

static void compare(uc_ring *ring, uc_fd *fd, uint64_t bytes)
{
    static const uint32_t flags[] = {UC_SEND_REFERENCE, UC_SEND_ZERO_COPY};
    static const char *names[] = {"with a copy", "without a copy"};
    double rates[2][ROUNDS], cpus[2][ROUNDS], rate_ratios[ROUNDS], cpu_ratios[ROUNDS];
    uint8_t *memory = malloc(DEPTH * bytes);
    struct uc_ring_stats stats = {.size = sizeof(stats)};

    if (!memory)
        die("memory", ENOMEM);
    memset(memory, 'x', DEPTH * bytes);
    for (int round = 0; round < ROUNDS; round++) {
        for (int kind = 0; kind < 2; kind++) {
            struct measurement m = measure(ring, fd, memory, bytes, flags[kind]);

            rates[kind][round] = m.rate;
            cpus[kind][round] = m.cpu;
        }
        rate_ratios[round] = rates[1][round] / rates[0][round];
        cpu_ratios[round] = cpus[1][round] / cpus[0][round];
    }
    for (int kind = 0; kind < 2; kind++)
        printf("%-15s %7.0f MB/s  %6.3f s of CPU per GiB\n", names[kind], median(rates[kind]) / 1e6,
               median(cpus[kind]));
    uc_ring_get_stats(ring, &stats);
    printf("of pairs        %7.2f       %6.2f\n", median(rate_ratios), median(cpu_ratios));
    printf("zero-copy sends %llu, of which the kernel copied %llu\n",
           (unsigned long long)stats.zero_copy_sends, (unsigned long long)stats.zero_copy_copied);
    free(memory);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct uc_event event;
    uint64_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    pid_t reader = 0;
    uc_ring *ring;
    uc_fd *fd;
    int number, r;

    if ((argc != 2 && argc != 4) || !bytes || bytes > ROUND_BYTES ||
        (argc == 4 && inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)) {
        fprintf(stderr, "usage: bench-zero-copy BYTES [ADDRESS PORT]\n");
        return 2;
    }
    if (argc == 4)
        address.sin_port = htons((uint16_t)atoi(argv[3]));
    else
        reader = start_reader(&address);
    number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (number < 0 || connect(number, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("connecting", errno);
    r = uc_ring_new(NULL, &ring);
    if (r == 0)
        r = uc_fd_attach(ring, number, NULL, &fd);
    if (r < 0)
        die("making a ring", -r);
    compare(ring, fd, bytes);
    r = uc_fd_close(fd, 0);
    while (r == 0 && uc_ring_wait(ring, &event, 1, -1) != 1)
        ;
    uc_fd_free(fd);
    uc_ring_free(ring);
    if (reader)
        waitpid(reader, NULL, 0);
    return 0;
}
