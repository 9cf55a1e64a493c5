#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/console.h"

namespace pouch::cli {

/// Shows the progress of a pull or push (ProgressMessage) as Docker's CLI does: on a terminal one line per
/// layer, rewritten with a bar; elsewhere a line per change, without the bytes.
class ProgressDisplay {
 public:
  /// `to_err`: to standard error, for the pull is not what the command was asked for.
  ProgressDisplay(const Console& console, bool to_err) : console_(console), to_err_(to_err) {}
  void show(const Json::Value& message);

 private:
  void print(const std::string& text) const;
  void print_at_the_end(const std::string& text);
  void print_in_place(const std::string& id, const std::string& text);

  const Console& console_;
  const bool to_err_;
  std::map<std::string, size_t> lines_;  ///< of a terminal, by id, from the top
  std::string at_end_;                   ///< takes away a line that is not ended; empty: there is none
};

/// "[====>      ]  1.2MB/3.4MB" of a message's progressDetail, in `width` columns; empty when there is none.
std::string progress_bar(const Json::Value& detail, size_t width);

struct PullWish {
  std::string image;  ///< with or without tag or digest
  std::string platform;
  bool all_tags = false;
  bool is_quiet = false;
  bool to_err = false;
};

/// Pulls; what image.pull gives. Throws ApiError.
Json::Value pull_image(Client& client, const Console& console, const PullWish& wish);

/// Puts the account that this host keeps for the registry, if any, among the options.
void add_account(const Console& console, const std::string& registry, Json::Value& options);

}  // namespace pouch::cli
