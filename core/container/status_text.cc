#include "core/container/status_text.h"

namespace pouch::container {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

Duration between(Timestamp from, Timestamp to) {
  return {from.is_zero() || to.ns < from.ns ? 0 : to.ns - from.ns};
}

std::string count_of(int64_t count, const char* unit) {
  return std::to_string(count) + ' ' + unit;
}

}  // namespace

std::string human_duration(Duration span) {
  const int64_t seconds = span.ns / kSecond;
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return count_of(seconds, "seconds");
  const int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return count_of(minutes, "minutes");
  const int64_t hours = (seconds + 1800) / 3600;  // rounded, unlike the others
  if (hours == 1) return "About an hour";
  if (hours < 48) return count_of(hours, "hours");
  if (hours < 24 * 7 * 2) return count_of(hours / 24, "days");
  if (hours < 24 * 30 * 2) return count_of(hours / 24 / 7, "weeks");
  if (hours < 24 * 365 * 2) return count_of(hours / 24 / 30, "months");
  return count_of(seconds / 3600 / 24 / 365, "years");
}

std::string status_text(const StateForText& state, Timestamp now) {
  const std::string& name = state.state;
  if (name == "running" || name == "paused") {
    std::string text = "Up " + human_duration(between(state.started_at, now));
    if (name == "paused") return text + " (Paused)";
    if (state.health.empty() || state.health == "none") return text;
    return text + " (" + (state.health == "starting" ? "health: starting" : state.health) + ")";
  }
  const std::string ago = human_duration(between(state.finished_at, now)) + " ago";
  if (name == "restarting") return "Restarting (" + std::to_string(state.exit_code) + ") " + ago;
  if (name == "removing") return "Removal In Progress";
  if (name == "dead") return "Dead";
  if (state.started_at.is_zero()) return "Created";
  if (state.finished_at.is_zero()) return "";
  return "Exited (" + std::to_string(state.exit_code) + ") " + ago;
}

}  // namespace pouch::container
