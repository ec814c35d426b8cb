/*
 * raw_listener.h - what both raw servers need around their loop
 */
#pragma once

#include <signal.h>
#include <stdint.h>

/* Set by SIGTERM and SIGINT. */
extern volatile sig_atomic_t raw_stopped;

/*
 * Listens on 127.0.0.1:@port (0: any), prints "port N", catches the stop signals, and asks for a
 * SIGTERM when the parent dies. TCP_NODELAY is set on the listener and inherited by what it
 * accepts. Returns the descriptor, or -1 after printing why.
 */
int raw_listen(const char *program, uint16_t port, int flags);

/* The number in @text, or exits with status 2. */
uint32_t raw_number(const char *program, const char *text, uint32_t min, uint32_t max);
