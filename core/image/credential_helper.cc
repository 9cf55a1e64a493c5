#include "core/image/credential_helper.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/child.h"
#include "core/sys/file.h"
#include "core/sys/find_program.h"

namespace pouch::image {
namespace {

constexpr int64_t kPatienceMs = 20'000;
constexpr size_t kMaxInput = 4'096;  // a pipe takes it without a reader

Result<UniqueFd> pipe_with(const std::string& input) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_status(errno, "make a pipe");
  UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  POUCH_RETURN_IF_ERROR(sys::write_all(writer.get(), input));
  return reader;
}

}  // namespace

Result<std::string> run_credential_helper(const std::string& program, const std::string& verb,
                                          const std::string& input) {
  if (input.size() > kMaxInput) return invalid_argument("the input is too long");
  if (program.find('/') != std::string::npos) return invalid_argument("a name with a slash");
  sys::SpawnSpec spec;
  auto path = sys::find_program(program, {});
  if (!path.is_ok()) return unavailable(path.status().message());
  spec.program = std::move(*path);
  spec.args = {verb};
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) spec.env.emplace_back(*entry);
  POUCH_ASSIGN_OR_RETURN(const UniqueFd reader, pipe_with(input));
  spec.stdin_fd = reader.get();
  spec.die_with_parent = true;
  POUCH_ASSIGN_OR_RETURN(const sys::RunOutput output,
                         sys::run_program(std::move(spec), Deadline::after_ms(kPatienceMs)));
  if (output.exit.code == 0) return output.stdout_text;
  // Helpers tell their errors on standard output.
  const std::string words(trim(output.stdout_text.empty() ? output.stderr_text : output.stdout_text));
  if (words.find("credentials not found") != std::string::npos) return not_found(words);
  return unavailable("it ended with " + std::to_string(output.exit.code) + ": " + quote(words));
}

}  // namespace pouch::image
