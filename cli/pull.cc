#include "cli/pull.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cli/format/human.h"
#include "cli/image_name.h"
#include "cli/terminal.h"

namespace pouch::cli {
namespace {

constexpr size_t kDefaultColumns = 80;
constexpr size_t kBarChars = 50;  // Docker's
constexpr size_t kWideColumns = 110;

}  // namespace

std::string progress_bar(const Json::Value& detail, size_t width) {
  const double current = detail["current"].isNumeric() ? detail["current"].asDouble() : 0;
  const double total = detail["total"].isNumeric() ? detail["total"].asDouble() : 0;
  if (current <= 0 && total <= 0) return "";
  if (total <= 0) return human_size(current);
  const auto filled = static_cast<size_t>(std::clamp(current / total, 0.0, 1.0) * kBarChars);
  const std::string bar = "[" + std::string(filled, '=') + ">" + std::string(kBarChars - filled, ' ') + "]  ";
  const std::string numbers = human_size(current) + "/" + human_size(total);
  return width >= kWideColumns ? bar + numbers : numbers;
}

void ProgressDisplay::print(const std::string& text) const {
  if (to_err_) {
    console_.err(text);
  } else {
    console_.out(text);
  }
}

void ProgressDisplay::show(const Json::Value& message) {
  if (!message["status"].isString()) return;  // for programs
  const std::string status = sanitised(message["status"].asString());
  const std::string id = message["id"].isString() ? sanitised(message["id"].asString()) : "";
  const std::optional<TerminalSize> size = to_err_ ? std::nullopt : terminal_size(console_);
  const std::string bar = progress_bar(message["progressDetail"], size ? size->columns : kDefaultColumns);
  if (!size && !bar.empty()) return;  // where nothing can be rewritten only changes are told
  const std::string line = (id.empty() ? "" : id + ": ") + status + (bar.empty() ? "" : " " + bar);
  const bool is_layer = message.isMember("progressDetail");
  if (size && id.empty() && !bar.empty()) return print_at_the_end(line);
  if (!size || id.empty() || !is_layer) return print(std::exchange(at_end_, "") + line + "\n");
  print_in_place(id, line);
}

// What is about nothing in particular: one line, which the next one takes the place of.
void ProgressDisplay::print_at_the_end(const std::string& text) {
  at_end_ = "\r\x1b[2K";
  print(at_end_ + text);
}

// Up to the line of the id, over it, and down again.
void ProgressDisplay::print_in_place(const std::string& id, const std::string& text) {
  const auto [line, is_new] = lines_.emplace(id, lines_.size());
  if (is_new) return print(text + "\n");
  const std::string distance = std::to_string(lines_.size() - line->second);
  print("\x1b[" + distance + "A\r\x1b[2K" + text + "\x1b[" + distance + "B\r");
}

void add_account(const Console& console, const std::string& registry, Json::Value& options) {
  try {
    if (const std::optional<Json::Value> account = find_account(registry)) options["auth"] = *account;
  } catch (const ApiError& error) {
    // What needs no account goes on.
    console.err_line("WARNING: the account for " + registry + ": " + sanitised(error.message()));
  }
}

Json::Value pull_image(Client& client, const Console& console, const PullWish& wish) {
  Json::Value options(Json::objectValue);
  options["fromImage"] = wish.image;
  if (!wish.platform.empty()) options["platform"] = wish.platform;
  if (wish.all_tags) options["all-tags"] = true;
  add_account(console, registry_of(wish.image), options);
  Stream stream = client.open("image.pull", {}, options);
  ProgressDisplay display(console, wish.to_err);
  while (const std::optional<Stream::Frame> frame = stream.next()) {
    if (!wish.is_quiet) display.show(to_json(frame->data));
  }
  return stream.finish();
}

}  // namespace pouch::cli
