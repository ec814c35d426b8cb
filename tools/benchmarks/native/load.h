/*
 * load.h - what the rooms of the load generator share
 *
 *   load_options     the command line
 *   load             the phases (connect, warm up, measure, drain) and the epoll loop
 *   load_connection  one socket: what is written, what is read, what is outstanding
 *   load_echo        dialogue: a message comes back as it was sent
 *   load_http        dialogue: keep-alive GET, response by Content-Length
 *   load_report      the JSON lines
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

#define LOAD_CONNECTIONS_MAX 20000u
#define LOAD_SIZE_MAX (64u << 20)
#define LOAD_DEPTH_MAX 1024u
#define LOAD_SECONDS_MAX 600.0
#define LOAD_PIECE_BYTES 2048u /* room for one piece that a dialogue composes itself */
#define LOAD_HEAD_BYTES 8192u  /* the longest HTTP response head accepted */

struct load;
struct connection;

/*
 * A dialogue says what goes out and what must come back. It keeps no state outside the connection.
 */
struct dialogue {
    const char *name;

    /*
     * Points *@ret_at at the bytes of request @sequence from @offset on, and returns how many lie
     * there in one piece; 0 when the request ends at @offset. May compose them in @scratch
     * (LOAD_PIECE_BYTES).
     */
    size_t (*request)(const struct load *load, uint32_t connection, uint64_t sequence,
                      uint64_t offset, unsigned char *scratch, const unsigned char **ret_at);

    /*
     * Takes @length received bytes, calls connection_answered() for each answer that they
     * complete. Returns 0, or -1 after load_fail().
     */
    int (*receive)(struct load *load, struct connection *connection, const unsigned char *bytes,
                   size_t length);
};

extern const struct dialogue dialogue_echo;
extern const struct dialogue dialogue_http;

struct load_options {
    const struct dialogue *dialogue;
    uint16_t port;
    uint32_t connections;
    uint32_t size; /* echo: bytes per message; http: bytes of body expected, 0 for any */
    uint32_t depth;
    uint64_t count; /* stop after this many measured answers; 0: only the time counts */
    double seconds;
    double warm_up;
    double stall_seconds; /* no answer for so long is an error */
    const char *path;
    bool verify;
    bool discard;
    bool progress;
    int server_pid;
};

struct connection {
    int fd;
    uint32_t index;
    uint64_t issued; /* requests that may be written */
    uint64_t writing;
    uint64_t write_offset;
    uint64_t answered;
    uint64_t read_offset;
    uint64_t body_left; /* http */
    uint32_t head_length;
    bool in_body;
    bool want_write;
    unsigned char *head;
    uint64_t *issued_ns; /* ring of @depth */
};

enum load_phase {
    PHASE_CONNECT,
    PHASE_WARM_UP,
    PHASE_MEASURE,
    PHASE_DRAIN,
    PHASE_DONE
};

struct load {
    struct load_options options;
    struct connection *connections;
    unsigned char *buffer;
    size_t buffer_bytes;
    int epoll_fd;
    uint32_t connected;
    enum load_phase phase;
    uint64_t now_ns;
    uint64_t phase_ns;  /* when this phase began */
    uint64_t answer_ns; /* when the last answer came */
    uint64_t progress_ns;
    uint64_t outstanding;

    uint64_t requests;       /* answered in the measured window */
    uint64_t bytes;          /* received in the measured window */
    uint64_t verified_bytes; /* compared, in all phases */
    uint64_t window_ns;
    uint64_t server_cpu_ns;
    uint64_t load_cpu_ns;
    struct histogram latency;

    uint32_t errors;
    char error[256]; /* the first one */
};

/* load.c */
uint64_t load_clock_ns(void);
void load_fail(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));
void load_enter(struct load *load, enum load_phase phase);

/* load_options.c: 0, or the exit status after printing why */
int load_options_parse(struct load_options *options, int argc, char **argv);

/* load_connection.c: each returns 0, or -1 after load_fail() */
int connection_open(struct load *load, uint32_t index);
int connection_established(struct load *load, struct connection *connection);
int connection_readable(struct load *load, struct connection *connection);
int connection_writable(struct load *load, struct connection *connection);
int connection_start(struct load *load, struct connection *connection);
void connection_answered(struct load *load, struct connection *connection);
void connection_close(struct connection *connection);

/* load_report.c */
void load_report_progress(const struct load *load);
void load_report_result(const struct load *load);
