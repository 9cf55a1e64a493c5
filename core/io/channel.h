#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/io/wire.h"

// Blocking calls on a client's socket to the keeper.

namespace pouch::io {

/// All of `data`, or DeadlineExceeded, or Unavailable when the other side is gone. Never SIGPIPE.
Status send_before(int fd, std::string_view data, Deadline deadline);
/// Some bytes, appended to `out`; likewise.
Status receive_before(int fd, std::string& out, Deadline deadline);

/// One request and its answer. `transport` tells whether the connection broke (its error is then the
/// result's, and the connection is of no more use); an error the keeper answered leaves it Ok. What came
/// after the answer (the first frames of an attach) goes to `rest`.
Result<Fields> exchange(int fd, Op op, const Fields& fields, Deadline deadline, Status& transport,
                        std::string* rest = nullptr);
/// Opens the conversation.
Status greet(int fd, Deadline deadline);

}  // namespace pouch::io
