/* The layouts that programs were compiled with. Never edit one; add a copy when a struct has grown. */
#include <stddef.h>
#include <stdio.h>

#include "pouch.h"

/* Release 1.0. */
struct buf_1_0 {
  char *data;
  size_t size;
};
struct client_options_1_0 {
  uint32_t struct_size;
  uint32_t api_version;
  uint32_t log_level;
  uint32_t flags;
};
struct call_1_0 {
  uint32_t struct_size;
  uint32_t flags;
  int64_t deadline_ms;
  pouch_cancel_t *cancel;
  const char *request_id;
};
struct frame_1_0 {
  uint32_t struct_size;
  uint32_t channel;
  uint32_t flags;
  uint32_t reserved;
  const char *data;
  size_t size;
};

static int failures = 0;

#define SAME(now, then, field)                                  \
  do {                                                          \
    if (offsetof(now, field) != offsetof(struct then, field)) { \
      fprintf(stderr, "%s.%s has moved\n", #now, #field);       \
      ++failures;                                               \
    }                                                           \
  } while (0)

#define NOT_SHRUNK(now, then)                   \
  do {                                          \
    if (sizeof(now) < sizeof(struct then)) {    \
      fprintf(stderr, "%s has shrunk\n", #now); \
      ++failures;                               \
    }                                           \
  } while (0)

/* A program of then gives a smaller struct; what is new is as if it had not been asked for. */
static void opens_with_the_first_layout(void) {
  struct {
    struct client_options_1_0 options;
    uint32_t behind; /* is not the library's to read */
  } then = {{(uint32_t)sizeof(struct client_options_1_0), 1, 0, 0}, 0xffffffffU};
  pouch_client_t *client = NULL;
  pouch_error_t *error = NULL;
  if (pouch_client_open("mock://", (const pouch_client_options_t *)(const void *)&then, &client, &error) !=
      POUCH_OK) {
    fprintf(stderr, "the first layout of the options: %s\n", pouch_error_message(error));
    ++failures;
  }
  pouch_error_free(error);
  pouch_client_free(client);
  then.options.struct_size = (uint32_t)sizeof(struct client_options_1_0) - 1;
  if (pouch_client_open("mock://", (const pouch_client_options_t *)(const void *)&then, &client, NULL) !=
      POUCH_ERR_INVALID_ARGUMENT) {
    fprintf(stderr, "a struct smaller than ever released is taken\n");
    ++failures;
  }
}

int main(void) {
  SAME(pouch_buf_t, buf_1_0, data);
  SAME(pouch_buf_t, buf_1_0, size);
  if (sizeof(pouch_buf_t) != sizeof(struct buf_1_0)) ++failures; /* frozen for ever */
  SAME(pouch_client_options_t, client_options_1_0, struct_size);
  SAME(pouch_client_options_t, client_options_1_0, api_version);
  SAME(pouch_client_options_t, client_options_1_0, log_level);
  SAME(pouch_client_options_t, client_options_1_0, flags);
  NOT_SHRUNK(pouch_client_options_t, client_options_1_0);
  opens_with_the_first_layout();
  SAME(pouch_call_t, call_1_0, struct_size);
  SAME(pouch_call_t, call_1_0, flags);
  SAME(pouch_call_t, call_1_0, deadline_ms);
  SAME(pouch_call_t, call_1_0, cancel);
  SAME(pouch_call_t, call_1_0, request_id);
  NOT_SHRUNK(pouch_call_t, call_1_0);
  SAME(pouch_frame_t, frame_1_0, struct_size);
  SAME(pouch_frame_t, frame_1_0, channel);
  SAME(pouch_frame_t, frame_1_0, flags);
  SAME(pouch_frame_t, frame_1_0, reserved);
  SAME(pouch_frame_t, frame_1_0, data);
  SAME(pouch_frame_t, frame_1_0, size);
  NOT_SHRUNK(pouch_frame_t, frame_1_0);
  return failures == 0 ? 0 : 1;
}
