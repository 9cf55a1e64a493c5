/*
 * A program that ends while eight threads of it are in calls.
 *
 *   exit_host URI ARCHIVE HOW
 *
 * HOW: return (from main), exit, _exit, quick_exit, thread (exit by another thread), atexit (a handler that
 * uses and frees the client). It prints "ready" when each thread has had calls, waits for a line, and ends
 * with 7.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

enum { kCode = 7 };

static void* exit_in_thread(void* ignored) {
  (void)ignored;
  exit(kCode);
}

static void use_at_exit(void) {
  list(client); /* the other threads are still at it */
  pouch_client_close(client);
}

int main(int argc, char** argv) {
  pthread_t threads[kThreads];
  pthread_t other;
  char line[16];
  if (argc != 4) return 2;
  if (open_host(argv[1], argv[2])) return 1;
  if (strcmp(argv[3], "atexit") == 0) atexit(use_at_exit);
  start_threads(threads);
  if (!all_go_on()) return failed("a thread stands still", 0, NULL);
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) return 3;
  if (strcmp(argv[3], "_exit") == 0) _exit(kCode);
  if (strcmp(argv[3], "quick_exit") == 0) quick_exit(kCode);
  if (strcmp(argv[3], "return") == 0) return kCode;
  if (strcmp(argv[3], "thread") != 0) exit(kCode);
  pthread_create(&other, NULL, exit_in_thread, NULL);
  pthread_join(other, NULL);
  return 4;
}
