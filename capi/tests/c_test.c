/* The C ABI as a C program sees it, against the mock engine. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pouch.h"

#define NO_NETWORK "\"HostConfig\":{\"NetworkMode\":\"none\"}"

static int failures = 0;

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                               \
    }                                                                           \
  } while (0)

/* Checks a status and frees the error that came with it. */
static void check_code(int line, pouch_status_t got, pouch_status_t wanted, pouch_error_t *error,
                       const char *says) {
  const int has_text = strlen(pouch_error_message(error)) > 0;
  if (got != wanted || pouch_error_code(error) != (wanted < 0 ? wanted : POUCH_OK) ||
      has_text != (wanted < 0) || strstr(pouch_error_message(error), says) == NULL) {
    fprintf(stderr, "line %d: wanted %s with \"%s\", got %s: %s\n", line, pouch_status_name(wanted), says,
            pouch_status_name(got), pouch_error_message(error));
    ++failures;
  }
  pouch_error_free(error);
}

#define CODE(call, wanted, says)                             \
  do {                                                       \
    pouch_error_t *error = NULL;                             \
    const pouch_status_t code_got = (call);                  \
    check_code(__LINE__, code_got, (wanted), error, (says)); \
  } while (0)

static int64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static pouch_client_t *open_mock(void) {
  pouch_client_t *client = NULL;
  CODE(pouch_client_open("mock://", NULL, &client, &error), POUCH_OK, "");
  return client;
}

/* The text without its terminator, as the fields of a tar header are. */
static void put(char *to, const char *text) {
  while (*text != '\0') *to++ = *text++;
}

/* A tar that holds one empty folder: a ustar header and two blocks of zeros. */
static void fill_tar(char *tar) {
  unsigned sum = 0;
  size_t i;
  memset(tar, 0, 3 * 512);
  put(tar, "tmp/");
  put(tar + 100, "0000755");
  put(tar + 108, "0000000");
  put(tar + 116, "0000000");
  put(tar + 124, "00000000000");
  put(tar + 136, "00000000000");
  put(tar + 148, "        ");
  tar[156] = '5';
  put(tar + 257, "ustar");
  put(tar + 263, "00");
  for (i = 0; i < 512; ++i) sum += (unsigned char)tar[i];
  snprintf(tar + 148, 8, "%06o", sum);
}

static void make_image(pouch_client_t *client) {
  char tar[3 * 512];
  size_t written = 0;
  pouch_stream_t *stream = NULL;
  pouch_buf_t result = POUCH_BUF_INIT;
  fill_tar(tar);
  CODE(pouch_image_from_rootfs(client, "{\"reference\":\"busybox\"}", NULL, &stream, &error), POUCH_OK, "");
  CODE(pouch_stream_write(stream, tar, sizeof tar, 1000, &written, &error), POUCH_OK, "");
  CHECK(written == sizeof tar);
  CODE(pouch_stream_close_write(stream, &error), POUCH_OK, "");
  CODE(pouch_stream_finish(stream, &result, &error), POUCH_OK, "");
  CHECK(result.data != NULL && strstr(result.data, "busybox:latest") != NULL);
  pouch_buf_free(&result);
  CHECK(result.data == NULL && result.size == 0);
  pouch_stream_free(stream);
}

/* Reads all frames of a channel into a text; returns what ended the stream. */
static pouch_status_t read_channel(pouch_stream_t *stream, uint32_t channel, char *text, size_t room) {
  pouch_frame_t frame = POUCH_FRAME_INIT;
  size_t used = 0;
  pouch_status_t status;
  while ((status = pouch_stream_next(stream, 10000, &frame, NULL)) == POUCH_OK) {
    if (frame.channel != channel || used + frame.size >= room) continue;
    memcpy(text + used, frame.data, frame.size);
    used += frame.size;
  }
  text[used] = '\0';
  return status;
}

static void test_names(void) {
  CHECK(strcmp(pouch_status_name(POUCH_OK), "Ok") == 0);
  CHECK(strcmp(pouch_status_name(POUCH_EOF), "Eof") == 0);
  CHECK(strcmp(pouch_status_name(POUCH_AGAIN), "Again") == 0);
  CHECK(strcmp(pouch_status_name(POUCH_ERR_NOT_FOUND), "NotFound") == 0);
  CHECK(strcmp(pouch_status_name(POUCH_ERR_OUT_OF_MEMORY), "OutOfMemory") == 0);
  CHECK(strcmp(pouch_status_name(-999), "Internal") == 0);
  CHECK(strchr(pouch_version(), '.') != NULL);
  CHECK(pouch_version_number() ==
        (uint32_t)(atoi(pouch_version()) * 1000000 + atoi(strchr(pouch_version(), '.') + 1) * 1000 +
                   atoi(strrchr(pouch_version(), '.') + 1)));
}

static void test_null_is_harmless(void) {
  pouch_buf_free(NULL);
  pouch_error_free(NULL);
  pouch_client_close(NULL);
  pouch_client_free(NULL);
  pouch_stream_cancel(NULL);
  pouch_stream_free(NULL);
  pouch_cancel_fire(NULL);
  pouch_cancel_unref(NULL);
  CHECK(pouch_cancel_ref(NULL) == NULL);
  CHECK(pouch_cancel_is_fired(NULL) == 0);
  CHECK(pouch_stream_pollfd(NULL) == -1);
  CHECK(strcmp(pouch_client_uri(NULL), "") == 0);
  CHECK(pouch_client_supports(NULL, "system.ping") == 0);
  CHECK(pouch_error_code(NULL) == POUCH_OK);
  CHECK(pouch_call(NULL, "system.ping", NULL, 0, NULL, NULL, NULL, NULL, NULL) == POUCH_ERR_INVALID_ARGUMENT);
  CODE(pouch_client_open("mock://", NULL, NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "out");
  CODE(pouch_stream_next(NULL, 0, NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "stream");
}

static void test_opening(void) {
  pouch_client_t *client = (pouch_client_t *)&failures; /* must be overwritten */
  pouch_client_options_t options = POUCH_CLIENT_OPTIONS_INIT;
  CODE(pouch_client_open("nonsense", NULL, &client, &error), POUCH_ERR_INVALID_ARGUMENT, "nonsense");
  CHECK(client == NULL);
  CODE(pouch_client_open("https://host", NULL, &client, &error), POUCH_ERR_NOT_IMPLEMENTED, "https");
  CODE(pouch_client_open("unix://relative", NULL, &client, &error), POUCH_ERR_INVALID_ARGUMENT, "relative");
  options.api_version = POUCH_API_VERSION + 1;
  CODE(pouch_client_open("mock://", &options, &client, &error), POUCH_ERR_NOT_IMPLEMENTED, "api_version");
  options.api_version = POUCH_API_VERSION;
  options.struct_size = 0;
  CODE(pouch_client_open("mock://", &options, &client, &error), POUCH_ERR_INVALID_ARGUMENT, "struct_size");
  options.struct_size = (uint32_t)sizeof options + 64; /* a program newer than the library */
  setenv("POUCH_HOST", "mock://", 1);
  CODE(pouch_client_open(NULL, &options, &client, &error), POUCH_OK, "");
  unsetenv("POUCH_HOST");
  CHECK(strcmp(pouch_client_uri(client), "mock://") == 0);
  CHECK(pouch_client_supports(client, "container.stop") == 1);
  CHECK(pouch_client_supports(client, "container.fly") == 0);
  pouch_client_free(client);
}

static void test_arguments(pouch_client_t *client) {
  const char *ids[] = {"a", "b"};
  pouch_buf_t result = POUCH_BUF_INIT;
  pouch_stream_t *stream = NULL;
  CODE(pouch_call(client, "container.fly", NULL, 0, NULL, NULL, NULL, NULL, &error),
       POUCH_ERR_INVALID_ARGUMENT, "container.fly");
  CODE(pouch_call(client, "container.logs", ids, 1, NULL, NULL, NULL, NULL, &error),
       POUCH_ERR_INVALID_ARGUMENT, "container.logs");
  CODE(pouch_open(client, "container.stop", ids, 1, NULL, NULL, NULL, &stream, &error),
       POUCH_ERR_INVALID_ARGUMENT, "container.stop");
  CODE(pouch_call(client, "container.stop", ids, 2, NULL, NULL, NULL, NULL, &error),
       POUCH_ERR_INVALID_ARGUMENT, "ids");
  CODE(pouch_container_stop(client, NULL, NULL, NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "id");
  CODE(pouch_container_stop(client, "a", "{\"t\":\"soon\"}", NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "t");
  CODE(pouch_container_stop(client, "a", "{\"tt\":1}", NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "tt");
  CODE(pouch_container_stop(client, "a", "{\"t\":1,\"t\":2}", NULL, &error), POUCH_ERR_INVALID_ARGUMENT,
       "options");
  CODE(pouch_container_stop(client, "a", "[]", NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "options");
  CODE(pouch_container_stop(client, "a", "{", NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "options");
  CODE(pouch_container_stop(client, "\xff", NULL, NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "id");
  CODE(pouch_system_info(client, "{\"x\":1}", NULL, &result, &error), POUCH_ERR_INVALID_ARGUMENT, "x");
  CODE(pouch_container_create(client, NULL, NULL, NULL, &result, &error), POUCH_ERR_INVALID_ARGUMENT,
       "config");
  CODE(pouch_container_create(client, "{\"Image\":3}", NULL, NULL, &result, &error),
       POUCH_ERR_INVALID_ARGUMENT, "Image");
  CODE(pouch_container_inspect(client, "nobody", NULL, NULL, &result, &error), POUCH_ERR_NOT_FOUND, "nobody");
  CHECK(result.data == NULL && stream == NULL);
  CODE(pouch_system_version(client, "{}", NULL, &result, &error), POUCH_OK, "");
  CHECK(result.data != NULL && strlen(result.data) == result.size &&
        strstr(result.data, "ApiVersion") != NULL);
  pouch_buf_free(&result);
  /* Neither the answer nor the reason is wanted. */
  CHECK(pouch_system_version(client, NULL, NULL, NULL, NULL) == POUCH_OK);
  CHECK(pouch_container_inspect(client, "nobody", NULL, NULL, NULL, NULL) == POUCH_ERR_NOT_FOUND);
}

static void test_run(pouch_client_t *client) {
  pouch_buf_t created = POUCH_BUF_INIT;
  pouch_buf_t result = POUCH_BUF_INIT;
  pouch_stream_t *stream = NULL;
  char text[256];
  size_t written = 0;
  CODE(pouch_container_run(client,
                           "{\"Image\":\"busybox\",\"Cmd\":[\"sh\",\"-c\",\"echo hi; exit "
                           "7\"],\"HostConfig\":{\"AutoRemove\":true,\"NetworkMode\":\"none\"}}",
                           "{\"name\":\"seven\"}", NULL, &created, &stream, &error),
       POUCH_OK, "");
  CHECK(created.data != NULL && strstr(created.data, "\"Id\":") != NULL);
  CHECK(read_channel(stream, POUCH_CHANNEL_STDOUT, text, sizeof text) == POUCH_EOF &&
        strcmp(text, "hi\n") == 0);
  CODE(pouch_stream_finish(stream, &result, &error), POUCH_OK, "");
  CHECK(result.data != NULL && strcmp(result.data, "{\"StatusCode\":7}") == 0);
  pouch_stream_free(stream);
  pouch_buf_free(&created);
  pouch_buf_free(&result);
  CODE(pouch_container_inspect(client, "seven", NULL, NULL, NULL, &error), POUCH_ERR_NOT_FOUND, "seven");

  CODE(pouch_container_run(
           client,
           "{\"Image\":\"busybox\",\"Cmd\":[\"cat\"],\"OpenStdin\":true,\"StdinOnce\":true," NO_NETWORK "}",
           NULL, NULL, NULL, &stream, &error),
       POUCH_OK, "");
  CODE(pouch_stream_write(stream, "abc", 3, 1000, &written, &error), POUCH_OK, "");
  CHECK(written == 3);
  CODE(pouch_stream_close_write(stream, &error), POUCH_OK, "");
  CODE(pouch_stream_close_write(stream, &error), POUCH_OK, "");
  CHECK(read_channel(stream, POUCH_CHANNEL_STDOUT, text, sizeof text) == POUCH_EOF &&
        strcmp(text, "abc") == 0);
  CODE(pouch_stream_write(stream, "abc", 3, 0, &written, &error), POUCH_ERR_CLOSED, "");
  CODE(pouch_stream_resize(stream, 1, 1, &error), POUCH_ERR_CONFLICT, "terminal");
  pouch_stream_free(stream);

  CODE(pouch_container_run(client, "{\"Image\":\"busybox\",\"Cmd\":[\"sleep\",\"60\"]," NO_NETWORK "}",
                           "{\"name\":\"back\"}", NULL, NULL, NULL, &error),
       POUCH_OK, "");
  CODE(pouch_container_run(client, "{\"Image\":\"busybox\",\"Cmd\":[\"true\"]," NO_NETWORK "}",
                           "{\"name\":\"back\"}", NULL, &created, &stream, &error),
       POUCH_ERR_CONFLICT, "back");
  CHECK(created.data == NULL && stream == NULL);
  CODE(pouch_container_remove(client, "back", "{\"force\":true}", NULL, &error), POUCH_OK, "");
}

static void test_frames(pouch_client_t *client) {
  pouch_stream_t *stream = NULL;
  pouch_frame_t frame = POUCH_FRAME_INIT;
  struct pollfd fd = {-1, POLLIN, 0};
  int64_t start;
  CODE(pouch_container_run(
           client, "{\"Image\":\"busybox\",\"Cmd\":[\"sh\",\"-c\",\"sleep 0.2; echo late\"]," NO_NETWORK "}",
           "{\"name\":\"late\"}", NULL, NULL, &stream, &error),
       POUCH_OK, "");
  fd.fd = pouch_stream_pollfd(stream);
  CHECK(fd.fd >= 0 && poll(&fd, 1, 0) == 0);
  CODE(pouch_stream_next(stream, 0, &frame, &error), POUCH_AGAIN, "");
  CHECK(poll(&fd, 1, 5000) == 1);
  frame.struct_size = 4;
  CODE(pouch_stream_next(stream, 0, &frame, &error), POUCH_ERR_INVALID_ARGUMENT, "struct_size");
  frame.struct_size = (uint32_t)sizeof frame;
  CODE(pouch_stream_next(stream, 0, &frame, &error), POUCH_OK, "");
  CHECK(frame.channel == POUCH_CHANNEL_STDOUT && frame.size == 5 && memcmp(frame.data, "late\n", 5) == 0);
  pouch_stream_free(stream);
  CODE(pouch_container_remove(client, "late", "{\"force\":true}", NULL, &error), POUCH_OK, "");

  CODE(pouch_system_events(client, NULL, NULL, &stream, &error), POUCH_OK, "");
  pouch_stream_cancel(stream);
  pouch_stream_cancel(stream);
  start = now_ms();
  CODE(pouch_stream_next(stream, -1, &frame, &error), POUCH_ERR_CANCELLED, "");
  CODE(pouch_stream_finish(stream, NULL, &error), POUCH_ERR_CANCELLED, "");
  CHECK(now_ms() - start < 50);
  pouch_stream_free(stream);
}

static void *fire_later(void *cancel) {
  usleep(100000);
  pouch_cancel_fire(cancel);
  return NULL;
}

static void test_giving_up(pouch_client_t *client) {
  pouch_call_t call = POUCH_CALL_INIT;
  pouch_stream_t *stream = NULL;
  pouch_frame_t frame = POUCH_FRAME_INIT;
  pthread_t thread;
  int64_t start;
  CODE(pouch_container_run(
           client,
           "{\"Image\":\"busybox\",\"Cmd\":[\"sh\",\"-c\",\"trap '' TERM; echo ready; sleep 60\"]," NO_NETWORK
           "}",
           "{\"name\":\"deaf\"}", NULL, NULL, &stream, &error),
       POUCH_OK, "");
  CODE(pouch_stream_next(stream, 10000, &frame, &error), POUCH_OK, "");
  pouch_stream_free(stream);
  call.deadline_ms = -1;
  CODE(pouch_container_stop(client, "deaf", NULL, &call, &error), POUCH_ERR_DEADLINE_EXCEEDED, "");
  call.deadline_ms = 100;
  start = now_ms();
  CODE(pouch_container_stop(client, "deaf", "{\"t\":30}", &call, &error), POUCH_ERR_DEADLINE_EXCEEDED, "");
  CHECK(now_ms() - start >= 95 && now_ms() - start < 200);
  call.deadline_ms = 0;
  call.cancel = pouch_cancel_new();
  CHECK(pouch_cancel_ref(call.cancel) == call.cancel);
  CHECK(pouch_cancel_is_fired(call.cancel) == 0);
  pthread_create(&thread, NULL, fire_later, call.cancel);
  start = now_ms();
  CODE(pouch_container_stop(client, "deaf", "{\"t\":30}", &call, &error), POUCH_ERR_CANCELLED, "");
  CHECK(now_ms() - start < 200);
  pthread_join(thread, NULL);
  CHECK(pouch_cancel_is_fired(call.cancel) == 1);
  CODE(pouch_system_info(client, NULL, &call, NULL, &error), POUCH_ERR_CANCELLED, "");
  pouch_cancel_unref(call.cancel);
  pouch_cancel_unref(call.cancel);
  CODE(pouch_container_remove(client, "deaf", "{\"force\":true}", NULL, &error), POUCH_OK, "");
}

static void test_fork(pouch_client_t *client) {
  pouch_stream_t *stream = NULL;
  int status = -1;
  pid_t child;
  CODE(pouch_system_events(client, NULL, NULL, &stream, &error), POUCH_OK, "");
  child = fork();
  if (child == 0) {
    pouch_frame_t frame = POUCH_FRAME_INIT;
    pouch_client_t *own = NULL;
    failures = 0;
    CODE(pouch_system_info(client, NULL, NULL, NULL, &error), POUCH_ERR_FORKED, "fork");
    CODE(pouch_stream_next(stream, 0, &frame, &error), POUCH_ERR_FORKED, "fork");
    CHECK(pouch_stream_pollfd(stream) == -1);
    pouch_stream_cancel(stream);
    pouch_stream_free(stream);
    pouch_client_free(client);
    CODE(pouch_client_open("mock://", NULL, &own, &error), POUCH_OK, "");
    CODE(pouch_system_info(own, NULL, NULL, NULL, &error), POUCH_OK, "");
    pouch_client_free(own);
    _exit(failures == 0 ? 0 : 1);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CODE(pouch_system_info(client, NULL, NULL, NULL, &error), POUCH_OK, "");
  pouch_stream_free(stream);
}

static void test_log(void) {
  pouch_stream_t *stream = NULL;
  pouch_frame_t frame = POUCH_FRAME_INIT;
  CODE(pouch_log_open(0, &stream, &error), POUCH_ERR_INVALID_ARGUMENT, "level");
  CODE(pouch_log_open(POUCH_LOG_DEBUG, &stream, &error), POUCH_OK, "");
  CODE(pouch_stream_next(stream, 0, &frame, &error), POUCH_AGAIN, "");
  pouch_stream_free(stream);
}

static void test_reset(void) {
  pouch_buf_t report = POUCH_BUF_INIT;
  CODE(pouch_reset(NULL, NULL, NULL, &report, &error), POUCH_ERR_INVALID_ARGUMENT, "no default address");
  CODE(pouch_reset("mock://", NULL, NULL, &report, &error), POUCH_ERR_NOT_IMPLEMENTED, "a root of this host");
  CODE(pouch_reset("mock://", "{\"x\":true}", NULL, &report, &error), POUCH_ERR_INVALID_ARGUMENT, "\"x\"");
  CODE(pouch_reset("mock://", "{\"InUse\":1}", NULL, &report, &error), POUCH_ERR_INVALID_ARGUMENT, "InUse");
  CODE(pouch_reset("gopher://", NULL, NULL, &report, &error), POUCH_ERR_NOT_IMPLEMENTED, "gopher");
  CHECK(report.data == NULL);
}

static void test_check(void) {
  pouch_buf_t report = POUCH_BUF_INIT;
  CODE(pouch_check("mock://", NULL, NULL, &report, &error), POUCH_OK, "");
  CHECK(report.data != NULL && strstr(report.data, "\"Ok\":true") != NULL);
  pouch_buf_free(&report);
  CODE(pouch_check("unix:///nonexistent.sock", NULL, NULL, &report, &error), POUCH_OK, "");
  CHECK(report.data != NULL && strstr(report.data, "\"Ok\":false") != NULL);
  CHECK(report.data != NULL && strstr(report.data, "\"Name\":\"socket\"") != NULL);
  pouch_buf_free(&report);
  CODE(pouch_check("gopher://", NULL, NULL, &report, &error), POUCH_ERR_INVALID_ARGUMENT, "gopher");
  CHECK(report.data == NULL);
  CODE(pouch_check("mock://", "{\"x\":1}", NULL, NULL, &error), POUCH_ERR_INVALID_ARGUMENT, "\"x\"");
}

static void test_close(pouch_client_t *client) {
  pouch_stream_t *stream = NULL;
  pouch_frame_t frame = POUCH_FRAME_INIT;
  CODE(pouch_system_events(client, NULL, NULL, &stream, &error), POUCH_OK, "");
  pouch_client_close(client);
  pouch_client_close(client);
  CODE(pouch_system_info(client, NULL, NULL, NULL, &error), POUCH_ERR_CLOSED, "");
  CODE(pouch_stream_next(stream, -1, &frame, &error), POUCH_ERR_CANCELLED, "");
  pouch_client_free(client);
  pouch_stream_free(stream); /* after its client */
}

int main(void) {
  pouch_client_t *client;
  test_names();
  test_null_is_harmless();
  test_opening();
  test_log();
  test_check();
  test_reset();
  client = open_mock();
  make_image(client);
  test_arguments(client);
  test_run(client);
  test_frames(client);
  test_giving_up(client);
#ifndef __SANITIZE_THREAD__ /* which does not follow into a child with threads of its own */
  test_fork(client);
#else
  (void)test_fork;
#endif
  test_close(client);
  printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
