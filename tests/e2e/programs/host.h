/* What the hosts of these tests have in common: eight threads that are always in calls. */
#ifndef POUCH_TESTS_HOST_H
#define POUCH_TESTS_HOST_H

#include <pouch.h>
#include <pthread.h>
#include <stdatomic.h>

enum { kThreads = 8 };

extern pouch_client_t* client;
extern atomic_int stopping;
extern atomic_int failures;
extern atomic_long counts[kThreads]; /* calls that have ended, of each thread */

/* Tells it on stderr; 1. */
int failed(const char* what, pouch_status_t code, pouch_error_t* error);
int load(pouch_client_t* into, const char* archive);
int run_container(pouch_client_t* in, const char* network);
int list(pouch_client_t* in);
/* Opens the client and loads the archive. */
int open_host(const char* uri, const char* archive);
void start_threads(pthread_t* threads);
/* Whether each thread is still at work: another call of it ends. */
int all_go_on(void);

#endif
