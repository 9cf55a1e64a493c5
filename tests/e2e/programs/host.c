#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

pouch_client_t* client;
atomic_int stopping;
atomic_int failures;
atomic_long counts[kThreads];

int failed(const char* what, pouch_status_t code, pouch_error_t* error) {
  fprintf(stderr, "%ld: %s: %d %s\n", (long)getpid(), what, (int)code,
          error == NULL ? "" : pouch_error_message(error));
  pouch_error_free(error);
  atomic_fetch_add(&failures, 1);
  return 1;
}

int load(pouch_client_t* into, const char* archive) {
  char piece[65536];
  size_t got;
  pouch_stream_t* stream = NULL;
  pouch_error_t* error = NULL;
  FILE* file = fopen(archive, "rbe");
  pouch_status_t code = pouch_image_load(into, NULL, NULL, &stream, &error);
  while (code == POUCH_OK && (got = fread(piece, 1, sizeof piece, file)) > 0) {
    size_t written = 0;
    for (size_t at = 0; code == POUCH_OK && at < got; at += written) {
      code = pouch_stream_write(stream, piece + at, got - at, -1, &written, &error);
    }
  }
  fclose(file);
  if (code == POUCH_OK) code = pouch_stream_close_write(stream, &error);
  if (code == POUCH_OK) code = pouch_stream_finish(stream, NULL, &error);
  pouch_stream_free(stream);
  return code == POUCH_OK ? 0 : failed("load", code, error);
}

int run_container(pouch_client_t* in, const char* network) {
  char config[256];
  pouch_frame_t frame = POUCH_FRAME_INIT;
  pouch_buf_t end = POUCH_BUF_INIT;
  pouch_stream_t* stream = NULL;
  pouch_error_t* error = NULL;
  pouch_status_t code;
  int is_zero;
  snprintf(config, sizeof config,
           "{\"Image\":\"busybox\",\"Cmd\":[\"echo\",\"hi\"],\"HostConfig\":{\"NetworkMode\":\"%s\","
           "\"AutoRemove\":true}}",
           network);
  code = pouch_container_run(in, config, NULL, NULL, NULL, &stream, &error);
  while (code == POUCH_OK) code = pouch_stream_next(stream, -1, &frame, &error);
  if (code == POUCH_EOF) code = pouch_stream_finish(stream, &end, &error);
  is_zero = end.data != NULL && strstr(end.data, "\"StatusCode\":0") != NULL;
  pouch_buf_free(&end);
  pouch_stream_free(stream);
  if (code != POUCH_OK) return failed("run", code, error);
  return is_zero ? 0 : failed("run: not ended with 0", 0, NULL);
}

int list(pouch_client_t* in) {
  pouch_buf_t out = POUCH_BUF_INIT;
  pouch_error_t* error = NULL;
  const pouch_status_t code = pouch_container_list(in, "{\"all\":true}", NULL, &out, &error);
  pouch_buf_free(&out);
  return code == POUCH_OK ? 0 : failed("list", code, error);
}

static void* work(void* argument) {
  const long number = (long)(atomic_long*)argument - (long)counts;
  const long which = number / (long)sizeof counts[0];
  while (!atomic_load(&stopping)) {
    const int bad = which < 3   ? run_container(client, "none")
                    : which < 5 ? run_container(client, "bridge")
                                : list(client);
    if (bad) break;
    atomic_fetch_add(&counts[which], 1);
  }
  return NULL;
}

int all_go_on(void) {
  const struct timespec pause = {0, 10 * 1000 * 1000};
  long before[kThreads];
  for (int i = 0; i < kThreads; ++i) before[i] = atomic_load(&counts[i]);
  for (int tries = 0; tries < 6000; ++tries) {
    int going = 0;
    for (int i = 0; i < kThreads; ++i) going += atomic_load(&counts[i]) > before[i];
    if (going == kThreads) return 1;
    nanosleep(&pause, NULL);
  }
  return 0;
}

int open_host(const char* uri, const char* archive) {
  pouch_error_t* error = NULL;
  const pouch_status_t code = pouch_client_open(uri, NULL, &client, &error);
  if (code != POUCH_OK) return failed("open", code, error);
  return load(client, archive);
}

void start_threads(pthread_t* threads) {
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, work, &counts[i]);
}
