// A resident user of libpouch for tests/bench/run: runs containers to their end and tells how long each took.
//
//   bench_run_loop URI CONFIG_JSON
//
// Each line on stdin is a number of containers to run at the same time; the answer is one line with that many
// times in microseconds, from the call to the end of the removal. "ready" is printed once the client is open.
#include <pouch.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct ClientFree {
  void operator()(pouch_client_t* client) const { pouch_client_free(client); }
};
struct StreamFree {
  void operator()(pouch_stream_t* stream) const { pouch_stream_free(stream); }
};
struct ErrorFree {
  void operator()(pouch_error_t* error) const { pouch_error_free(error); }
};

// As a command line does: reads all output, then waits until the container is removed.
pouch_status_t run_to_exit(pouch_client_t* client, const std::string& config, pouch_error_t** error) {
  pouch_stream_t* opened = nullptr;
  pouch_status_t status =
      pouch_container_run(client, config.c_str(), nullptr, nullptr, nullptr, &opened, error);
  const std::unique_ptr<pouch_stream_t, StreamFree> stream(opened);
  pouch_frame_t frame = POUCH_FRAME_INIT;
  while (status == POUCH_OK) status = pouch_stream_next(stream.get(), -1, &frame, error);
  if (status != POUCH_EOF) return status;
  pouch_buf_t result = POUCH_BUF_INIT;
  status = pouch_stream_finish(stream.get(), &result, error);
  const std::string text = result.data != nullptr ? result.data : "";
  pouch_buf_free(&result);
  if (status == POUCH_OK && text.find("\"StatusCode\":0") == std::string::npos) {
    std::fprintf(stderr, "bench_run_loop: the container did not exit with 0: %s\n", text.c_str());
    return POUCH_ERR_INTERNAL;
  }
  return status;
}

// The time in microseconds; negative when it failed.
long timed_run(pouch_client_t* client, const std::string& config) {
  pouch_error_t* failure = nullptr;
  const auto start = Clock::now();
  const pouch_status_t status = run_to_exit(client, config, &failure);
  const auto end = Clock::now();
  const std::unique_ptr<pouch_error_t, ErrorFree> error(failure);
  if (status != POUCH_OK) {
    std::fprintf(stderr, "bench_run_loop: %s\n", error ? pouch_error_message(error.get()) : "failed");
    return -1;
  }
  return static_cast<long>(std::chrono::duration_cast<std::chrono::microseconds>(end - start).count());
}

bool serve(pouch_client_t* client, const std::string& config) {
  std::cout << "ready" << std::endl;
  for (int count = 0; std::cin >> count;) {
    std::vector<long> times(static_cast<size_t>(count));
    std::vector<std::thread> threads;
    threads.reserve(times.size());
    for (long& time : times) threads.emplace_back([&] { time = timed_run(client, config); });
    for (std::thread& thread : threads) thread.join();
    for (const long time : times) {
      if (time < 0) return false;
      std::cout << time << ' ';
    }
    std::cout << std::endl;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_run_loop URI CONFIG_JSON\n");
    return 2;
  }
  pouch_client_t* opened = nullptr;
  pouch_error_t* failure = nullptr;
  const pouch_status_t status = pouch_client_open(argv[1], nullptr, &opened, &failure);
  const std::unique_ptr<pouch_client_t, ClientFree> client(opened);
  const std::unique_ptr<pouch_error_t, ErrorFree> error(failure);
  if (status != POUCH_OK) {
    std::fprintf(stderr, "bench_run_loop: %s\n", pouch_error_message(error.get()));
    return 1;
  }
  return serve(client.get(), argv[2]) ? 0 : 1;
}
