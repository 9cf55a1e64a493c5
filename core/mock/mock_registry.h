#pragma once

#include <optional>
#include <string>

#include "core/api/common.gen.h"
#include "core/api/stream_pipe.h"
#include "core/base/status.h"

// The mock's registry, of which MockEngine's comment tells.
namespace pouch::mock {

/// "host:5000/team/app" of "host:5000/team/app:1". InvalidArgument for a bad name.
Result<std::string> repository_of(const std::string& reference);
/// The account that it takes is any with the password "secret".
bool has_account(const std::optional<api::AuthConfig>& auth);
/// By the repository's name, so that programs can be tested against each error.
Status pull_refusal(const std::string& repository, const std::string& reference, bool has_account);
Status push_refusal(const std::string& repository, bool has_account);

/// Of a file at a URL: by its last part, too.
Status fetch_refusal(const std::string& url);

/// A progress message; `key` as in StreamPipe::push_latest.
Status say(StreamPipe& pipe, const std::string& key, const std::string& id, const std::string& status);

}  // namespace pouch::mock
