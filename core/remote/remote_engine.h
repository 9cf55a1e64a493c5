#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/executor.h"
#include "core/net/curl_handle.h"
#include "core/remote/address.h"
#include "core/remote/body_stream.h"
#include "core/remote/dockerd.h"
#include "core/remote/remote_calls.gen.h"

namespace pouch::remote {

class Hijack;

/// The contract over HTTP: a pouchd, or a stock dockerd as far as it goes (docs/wire.md). Contacts the server
/// with the first call. Thread-safe. Its destruction cancels what is still open.
class RemoteEngine : public RemoteCalls {
 public:
  /// unix:// or tcp://. InvalidArgument for a bad address.
  static Result<std::unique_ptr<RemoteEngine>> open(const std::string& uri);
  ~RemoteEngine() override;

 protected:
  Result<Json> call_json(const api::OpInfo& op, const std::vector<std::string>& ids, const Json* config,
                         const Json* options, const Call& call) override;
  Result<StreamPtr> open_json(const api::OpInfo& op, const std::vector<std::string>& ids, const Json* config,
                              const Json* options, const Call& call) override;

 private:
  /// What the first ping has told.
  struct Server {
    bool is_pouchd = false;
    ApiVersion version;
  };
  struct Operation {
    const api::OpInfo& op;
    const std::vector<std::string>& ids;
    const Json* config;
    const Json* options;
  };

  explicit RemoteEngine(Address address);

  Result<Json> ping(const Call& call, std::string_view op);
  Result<Server> server(const Call& call, std::string_view op);
  Result<Request> make_request(const Operation& operation, const Server& server, const Call& call) const;
  Result<StreamPtr> open_body(const Operation& operation, const Server& server, const Call& call);
  Result<StreamPtr> open_hijack(const Operation& operation, const Server& server, const Call& call);
  Result<BodyFormat> format_of(const Operation& operation, const Server& server, const Call& call);
  Result<bool> has_terminal(const Operation& operation, const Call& call);
  /// Lets the stream of a terminal be resized. `terminal`: whether it is one, where that is known.
  void allow_resize(const Operation& operation, std::optional<bool> terminal, StreamPipe& pipe);
  /// What dockerd does with a terminal in another way than an engine of ours.
  Status adapt_terminal(const Operation& operation, const Call& call, Hijack& task);
  Completion pull_completion(const Operation& operation, const std::shared_ptr<LoadedImages>& said);
  static Completion push_completion(const Operation& operation, const std::shared_ptr<LoadedImages>& said);
  static Completion import_completion(const Operation& operation, const std::shared_ptr<LoadedImages>& said);
  Completion completion_of(const Operation& operation, const Server& server,
                           const std::shared_ptr<LoadedImages>& loaded);
  void start(const std::shared_ptr<StreamTask>& task);

  const Address address_;
  /// Fired by the destructor: ends questions asked in the name of a stream.
  const CancelPtr closing_ = std::make_shared<CancelToken>();
  const std::shared_ptr<net::HandlePool> pool_ = std::make_shared<net::HandlePool>();

  std::mutex mutex_;
  // Below protected by mutex_.
  std::optional<Server> server_;
  std::vector<std::weak_ptr<StreamTask>> tasks_;

  Executor executor_;  // last: its destructor waits for the tasks
};

}  // namespace pouch::remote
