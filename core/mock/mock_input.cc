#include <chrono>

#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace mock {
namespace {

constexpr int64_t kLookMs = 200;  // how soon a pump sees that nobody needs it any more

// The process to write to, waiting for its start: the bytes of who attached before it stay in the pipe until
// there is somebody to read them. Null when there will be none.
std::shared_ptr<MockProcess> await_process(State& state, const Input& input) {
  std::unique_lock lock(state.mutex);
  const Running& running = input.running;
  const auto settled = [&] {
    return running.process != nullptr || state.closing || input.pipe->is_abandoned();
  };
  while (!state.changed.wait_for(lock, std::chrono::milliseconds(kLookMs), settled)) {
  }
  const bool ended = state.closing || (running.started && !running.running);
  return ended ? nullptr : running.process;
}

void detach(State& state, const Input& input) {
  const std::lock_guard lock(state.mutex);
  std::erase_if(input.running.attached, [&](const Attached& client) { return client.pipe == input.pipe; });
  input.pipe->finish(input.on_detach());
}

void pump(State& state, Input input) {
  while (const auto process = await_process(state, input)) {
    const Result<std::string> bytes = input.pipe->read_input(65536, Deadline::after_ms(kLookMs));
    if (bytes.code() == Code::kDeadlineExceeded) continue;
    const bool ended = !bytes.is_ok() || bytes->empty();
    // Without the lock: the echo of a terminal is output.
    if (!ended) {
      process->write_stdin(input.keys ? input.keys->pass(*bytes) : *bytes);
    } else if (input.keys) {
      process->write_stdin(input.keys->rest());
    }
    if (input.keys && input.keys->were_pressed()) return detach(state, input);
    if (!ended) continue;
    if (input.close_at_end) process->close_stdin();
    return;
  }
}

}  // namespace

std::optional<TerminalSize> terminal_of(const std::optional<bool>& tty,
                                        const std::optional<std::vector<uint64_t>>& size) {
  if (!tty.value_or(false)) return std::nullopt;
  if (!size || size->size() != 2) return TerminalSize{};
  return TerminalSize{(*size)[0], (*size)[1]};
}

Status check_size(int64_t rows, int64_t columns) {
  const auto is_good = [](int64_t number) { return number >= 0 && number <= 65535; };
  if (is_good(rows) && is_good(columns)) return {};
  return invalid_argument("invalid size of a terminal: " + std::to_string(rows) + " rows, " +
                          std::to_string(columns) + " columns; each is 0 to 65535");
}

Status State::resize(Running& of, int64_t rows, int64_t columns, const std::string& name) {
  const std::lock_guard lock(mutex);
  if (!of.running || of.process == nullptr) return conflict(name + " is not running");
  of.process->resize({static_cast<uint64_t>(rows), static_cast<uint64_t>(columns)});
  return {};
}

}  // namespace mock

void MockEngine::pump_stdin(mock::Input input) {
  executor_.submit([state = state_, shared = std::make_shared<mock::Input>(std::move(input))] {
    mock::pump(*state, std::move(*shared));
  });
}

}  // namespace pouch
