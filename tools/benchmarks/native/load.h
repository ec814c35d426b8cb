/*
 * load.h - what the rooms of the load generator share
 *
 *   load_options     the command line
 *   load             the phases (connect, warm up, measure, drain) and the epoll loop
 *   load_window      what the server and this process spend in the measured window
 *   load_syscalls    how many system calls the server makes in it
 *   load_open        one socket: made, connected, closed, and made anew for churn
 *   load_connection  one socket: what is written, what is read, what is outstanding
 *   load_datagram    the same for UDP, where a message is a datagram and may get lost
 *   load_tls         TLS on a socket; load_tls_missing stands in for it where OpenSSL is not there
 *   load_echo        dialogue: a message comes back as it was sent
 *   load_http        dialogue: keep-alive GET, response by Content-Length
 *   load_report      the JSON lines
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "histogram.h"

#define LOAD_CONNECTIONS_MAX 20000u
#define LOAD_SIZE_MAX (64u << 20)
#define LOAD_DEPTH_MAX 1024u
#define LOAD_UNABLE_STATUS 77
#define LOAD_DATAGRAM_MAX 65507u
#define LOAD_SECONDS_MAX 600.0
#define LOAD_PIECE_BYTES 2048u /* room for one piece that a dialogue composes itself */
#define LOAD_HEAD_BYTES 8192u  /* the longest HTTP response head accepted */
#define LOAD_REASON_BYTES 160u
#define LOAD_STAMP_BYTES 16u /* of an echo: connection and sequence number */

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

enum load_course {
    COURSE_TALK,  /* connections stay, requests follow one another */
    COURSE_CHURN, /* each request has a connection of its own: connect, ask, hear, close */
    COURSE_IDLE, /* each connection says one thing before the window, nothing in it, one after it */
};

struct load_mode {
    const char *name;
    const struct dialogue *dialogue;
    enum load_course course;
    bool datagrams;
};

struct load_options {
    struct load_mode mode;
    uint16_t port;
    const char *unix_path; /* instead of a port, or NULL */
    bool tls;
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
    bool count_syscalls;
    int server_pid;
};

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_CONNECTING,
    CONNECTION_HANDSHAKE,
    CONNECTION_OPEN,
};

struct connection {
    int fd;
    uint32_t index;
    enum connection_state state;
    void *tls;
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
    uint64_t *issued_ns; /* of all connections */
    unsigned char *buffer;
    size_t buffer_bytes;
    int epoll_fd;
    uint32_t connected;
    uint64_t opened; /* sockets ever made */
    enum load_phase phase;
    uint64_t now_ns;
    uint64_t phase_ns;  /* when this phase began */
    uint64_t answer_ns; /* when the last answer came */
    uint64_t progress_ns;
    uint64_t outstanding;
    uint64_t issue_limit; /* how many requests each connection may ask in all */

    uint64_t requests;       /* answered in the measured window */
    uint64_t lost;           /* datagrams without an answer, in the measured window */
    uint64_t bytes;          /* received in the measured window */
    uint64_t verified_bytes; /* compared, in all phases */
    uint64_t window_ns;
    uint64_t server_cpu_ns;
    uint64_t load_cpu_ns;
    uint64_t server_syscalls;
    char no_syscalls[LOAD_REASON_BYTES]; /* why they were not counted; empty when they were */
    struct histogram latency;

    bool unable; /* the error is that this program was built without something */
    uint32_t errors;
    char error[256]; /* the first one */
};

/* load.c */
uint64_t load_clock_ns(void);
void load_fail(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));
void load_enter(struct load *load, enum load_phase phase);

/* load_options.c: 0, or the exit status after printing why */
int load_options_parse(struct load_options *options, int argc, char **argv);

/* load_window.c */
void load_window_begin(struct load *load);
void load_window_end(struct load *load);

/* load_syscalls.c: @reason is filled in where they cannot be counted; the end returns the count */
void load_syscalls_begin(int pid, char reason[LOAD_REASON_BYTES]);
uint64_t load_syscalls_end(char reason[LOAD_REASON_BYTES]);

/* load_open.c: each returns 0, or -1 after load_fail() */
int connection_open(struct load *load, struct connection *connection);
int connection_proceed(struct load *load, struct connection *connection);
int connection_watch(struct load *load, struct connection *connection, bool write);
int connection_again(struct load *load, struct connection *connection);
void connection_close(struct connection *connection);
void connection_free(struct connection *connection);

/* load_connection.c: each returns 0, or -1 after load_fail() */
int connection_readable(struct load *load, struct connection *connection);
int connection_writable(struct load *load, struct connection *connection);
int connection_start(struct load *load, struct connection *connection);
void connection_issue(struct load *load, struct connection *connection);
/* Counts what load->buffer got, and has the dialogue look at it. Return: 0 or -1. */
int connection_take(struct load *load, struct connection *connection, size_t got);
void connection_answered(struct load *load, struct connection *connection);

/* load_datagram.c: each returns 0, or -1 after load_fail() */
int datagram_readable(struct load *load, struct connection *connection);
int datagram_writable(struct load *load, struct connection *connection);
int datagram_expire(struct load *load);

/*
 * load_tls.c: a negative return is a negated errno, -EAGAIN when the socket must be waited for;
 * @ret_write says whether for writing. load_tls_start() and load_tls_error() return a text.
 */
const char *load_tls_start(void);
void load_tls_stop(void);
int load_tls_open(struct connection *connection);
int load_tls_handshake(struct connection *connection, bool *ret_write);
ssize_t load_tls_send(struct connection *connection, const struct iovec *pieces, size_t n_pieces);
ssize_t load_tls_receive(struct connection *connection, unsigned char *buffer, size_t room);
const char *load_tls_error(void);
void load_tls_close(struct connection *connection);

/* load_report.c */
void load_report_progress(const struct load *load);
void load_report_result(const struct load *load);
