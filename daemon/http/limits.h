#pragma once

#include <cstddef>
#include <cstdint>

namespace pouch::http {

/// What one client, or all together, may take. Times in milliseconds.
struct Limits {
  size_t head_bytes = size_t{64} << 10U;       ///< request line and headers
  size_t json_body_bytes = size_t{16} << 20U;  ///< a config document
  size_t connections = 4096;                   ///< open connections; more are refused with 503
  size_t requests = 1024;                      ///< requests and streams in work, a thread each; more get 503
  int64_t idle_ms = 600'000;                   ///< between two requests of a connection
  int64_t head_ms = 30'000;                    ///< from the first byte of a request to the end of its head
  int64_t body_ms = 60'000;                    ///< without a byte of a document's body
  int64_t upload_ms = 600'000;                 ///< without a byte of an upload
  int64_t write_ms = 60'000;                   ///< without progress in sending an answer that is no stream
  int64_t linger_ms = 2'000;  ///< for the client to read an answer that came before its body ended
  int64_t stop_ms = 10'000;   ///< for calls to end when the server stops
};

}  // namespace pouch::http
