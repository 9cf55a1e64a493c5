#pragma once

#include <curl/curl.h>

#include "core/base/status.h"

namespace pouch::net {

/// The functions of libcurl that we call. It is loaded at the first use and not with libpouch: libcurl draws
/// in twenty libraries (TLS twice, Kerberos, LDAP, SSH), which the loader would bind at each start of a
/// program, and who runs containers in its own process needs none of them.
struct CurlApi {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_easy_pause) easy_pause;
  decltype(&::curl_easy_send) easy_send;
  decltype(&::curl_easy_recv) easy_recv;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_wakeup) multi_wakeup;
  decltype(&::curl_multi_info_read) multi_info_read;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
};

/// Loads and initialises libcurl, once per process and for good: other code in the process may use it, too.
/// Unavailable names the library when it is not there. Thread-safe.
Status load_curl();

/// Only after load_curl() succeeded. Thread-safe.
const CurlApi& curl();

}  // namespace pouch::net
