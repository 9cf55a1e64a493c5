/*
 * A parent with eight threads in calls that forks children; each opens a client of its own.
 *
 *   fork_host URI ARCHIVE CHILDREN EVERY
 *
 * At most four children live at a time; every EVERYth runs a container. Ends with 0, or names what went wrong
 * on stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

enum { kWidth = 4 };

static int use_own_client(const char* uri, const char* archive, int runs) {
  pouch_client_t* own = NULL;
  pouch_error_t* error = NULL;
  pouch_status_t code = pouch_system_ping(client, NULL, NULL, NULL, NULL);
  if (code != POUCH_ERR_FORKED) return failed("the parent's client", code, NULL);
  pouch_client_free(client);
  code = pouch_client_open(uri, NULL, &own, &error);
  if (code != POUCH_OK) return failed("open", code, error);
  if (list(own)) return 1;
  if (runs && strncmp(uri, "mock:", 5) == 0 && load(own, archive)) return 1;
  if (runs && run_container(own, "bridge")) return 1;
  pouch_client_free(own);
  return 0;
}

static void fork_child(const char* uri, const char* archive, int number, int every) {
  const pid_t child = fork();
  if (child < 0) failed("fork", 0, NULL);
  if (child != 0) return;
  const int code = use_own_client(uri, archive, number % every == 0);
  if (number % 2 == 0) _exit(code);
  exit(code); /* with all that runs at the end of a process */
}

static void reap(int* living, int limit) {
  while (*living > limit) {
    int status = 0;
    if (wait(&status) < 0) return;
    --*living;
    if (status != 0) failed("a child ended with (status)", status, NULL);
  }
}

int main(int argc, char** argv) {
  pthread_t threads[kThreads];
  int living = 0;
  if (argc != 5) return 2;
  if (open_host(argv[1], argv[2])) return 1;
  start_threads(threads);
  for (int i = 0; i < atoi(argv[3]) && atomic_load(&failures) == 0; ++i) {
    reap(&living, kWidth - 1);
    fork_child(argv[1], argv[2], i, atoi(argv[4]));
    ++living;
  }
  reap(&living, 0);
  if (atomic_load(&failures) == 0 && !all_go_on()) failed("a thread of the parent stands still", 0, NULL);
  atomic_store(&stopping, 1);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  pouch_client_free(client);
  return atomic_load(&failures) == 0 ? 0 : 1;
}
