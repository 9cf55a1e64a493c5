#include "core/net/curl_api.h"

#include <dlfcn.h>

#include <memory>
#include <string>

namespace pouch::net {
namespace {

constexpr char kLibrary[] = "libcurl.so.4";

struct Loaded {
  CurlApi api{};
  Status status;
};

template <class Function>
void find(void* library, const char* name, Function& function, Status& status) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr)
    status = unavailable(std::string(kLibrary) + " has no " + name + ": it is too old");
}

void find_all(void* library, CurlApi& api, Status& status) {
  find(library, "curl_global_init", api.global_init, status);
  find(library, "curl_easy_init", api.easy_init, status);
  find(library, "curl_easy_cleanup", api.easy_cleanup, status);
  find(library, "curl_easy_reset", api.easy_reset, status);
  find(library, "curl_easy_setopt", api.easy_setopt, status);
  find(library, "curl_easy_getinfo", api.easy_getinfo, status);
  find(library, "curl_easy_strerror", api.easy_strerror, status);
  find(library, "curl_easy_pause", api.easy_pause, status);
  find(library, "curl_easy_send", api.easy_send, status);
  find(library, "curl_easy_recv", api.easy_recv, status);
  find(library, "curl_multi_init", api.multi_init, status);
  find(library, "curl_multi_cleanup", api.multi_cleanup, status);
  find(library, "curl_multi_add_handle", api.multi_add_handle, status);
  find(library, "curl_multi_remove_handle", api.multi_remove_handle, status);
  find(library, "curl_multi_perform", api.multi_perform, status);
  find(library, "curl_multi_poll", api.multi_poll, status);
  find(library, "curl_multi_wakeup", api.multi_wakeup, status);
  find(library, "curl_multi_info_read", api.multi_info_read, status);
  find(library, "curl_slist_append", api.slist_append, status);
  find(library, "curl_slist_free_all", api.slist_free_all, status);
}

Loaded load() {
  Loaded loaded;
  // Never closed: its threads and TLS state may be in use until the process ends.
  void* const library = ::dlopen(kLibrary, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    loaded.status =
        unavailable("HTTP needs " + std::string(kLibrary) + " (package libcurl4): " + ::dlerror());
    return loaded;
  }
  find_all(library, loaded.api, loaded.status);
  if (loaded.status.is_ok() && loaded.api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    loaded.status = internal_error("libcurl cannot be initialized");
  }
  return loaded;
}

const Loaded& loaded() {
  // On the heap for good: no destructor at the process's end.
  static const Loaded& once = *std::make_unique<Loaded>(load()).release();
  return once;
}

}  // namespace

Status load_curl() {
  return loaded().status;
}

const CurlApi& curl() {
  return loaded().api;
}

}  // namespace pouch::net
