#include "core/registry/retrying.h"

#include <optional>

#include "core/base/executor.h"
#include "core/registry/retry.h"

namespace pouch::registry {
namespace {

bool is_busy(int status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

int tries_of(const Exchange& exchange, const Patience& patience) {
  switch (exchange.trouble) {
    case Trouble::kUnreachable:
      return patience.reach.has_passed() ? 0 : patience.connect_tries;
    case Trouble::kStalled:
      return patience.is_stream ? 0 : patience.connect_tries;
    case Trouble::kBroken:
      return patience.is_stream ? 0 : patience.tries;
    case Trouble::kNone:
      return is_busy(exchange.answer.status) ? patience.tries : 0;
    default:
      return 0;
  }
}

}  // namespace

Exchange with_retries(const Call& call, const Patience& patience, const std::function<Exchange()>& ask) {
  for (int attempt = 1;; ++attempt) {
    Exchange exchange = ask();
    if (attempt >= tries_of(exchange, patience)) return exchange;
    const int64_t wanted =
        retry_after_ms(exchange.answer.header("retry-after"), Timestamp::now()).value_or(0);
    if (wanted > kLongestRetryAfterMs) return exchange;
    // Who were told the same time do not come back at once: one of them would be the late one each time.
    if (Status status = pause(call, wanted + backoff_ms(attempt + 1)); !status.is_ok())
      return {Trouble::kOurs, std::move(status), {}, {}};
  }
}

}  // namespace pouch::registry
