/*
 * Runs a container and prints what it says. The image "busybox" must be there: pouch load -i busybox.tar
 *
 *   cc hello.c $(pkg-config --cflags --libs pouch) -o hello
 *   ./hello unix:///var/run/pouchd.sock
 *   ./hello 'embed:///tmp/root?run=/tmp/run'        in this process, as root, without a daemon
 */
#include <pouch.h>
#include <stdio.h>

static const char config[] =
    "{\"Image\": \"busybox\", \"Cmd\": [\"echo\", \"hello from a container\"],"
    " \"HostConfig\": {\"NetworkMode\": \"none\", \"AutoRemove\": true}}";

static int run(pouch_client_t* client, pouch_error_t** error) {
  pouch_stream_t* stream = NULL;
  pouch_frame_t frame = POUCH_FRAME_INIT;
  pouch_status_t status = pouch_container_run(client, config, NULL, NULL, NULL, &stream, error);
  if (status == POUCH_OK) {
    while ((status = pouch_stream_next(stream, -1, &frame, error)) == POUCH_OK) {
      fwrite(frame.data, 1, frame.size, frame.channel == POUCH_CHANNEL_STDERR ? stderr : stdout);
    }
  }
  if (status == POUCH_EOF) status = pouch_stream_finish(stream, NULL, error); /* until it is removed */
  pouch_stream_free(stream);
  return status;
}

int main(int argc, char** argv) {
  pouch_client_t* client = NULL;
  pouch_error_t* error = NULL;
  pouch_status_t status = pouch_client_open(argc > 1 ? argv[1] : NULL, NULL, &client, &error);
  if (status == POUCH_OK) status = run(client, &error);
  if (status != POUCH_OK) fprintf(stderr, "hello: %s\n", pouch_error_message(error));
  pouch_error_free(error);
  pouch_client_free(client);
  return status == POUCH_OK ? 0 : 1;
}
