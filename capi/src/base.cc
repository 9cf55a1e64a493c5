#include "pouch/base.h"

#include <cstdio>
#include <cstdlib>

#include "capi/src/handle.h"

namespace pouch::capi {

Status fill_buffer(const std::string &text, pouch_buf_t *out) {
  if (out == nullptr) return {};
  out->data = static_cast<char *>(std::malloc(text.size() + 1));
  if (out->data == nullptr) throw std::bad_alloc();
  std::memcpy(out->data, text.c_str(), text.size() + 1);
  out->size = text.size();
  return {};
}

}  // namespace pouch::capi

void pouch_buf_free(pouch_buf_t *buf) {
  if (buf == nullptr) return;
  std::free(buf->data);
  *buf = POUCH_BUF_INIT;
}

const char *pouch_version(void) {
  return POUCH_VERSION;
}

uint32_t pouch_version_number(void) {
  uint32_t number = 0;
  uint32_t part = 0;
  for (const char *at = POUCH_VERSION; *at != '\0'; ++at) {
    if (*at == '.') {
      number = (number + part) * 1000;
      part = 0;
    } else if (*at >= '0' && *at <= '9') {
      part = part * 10 + static_cast<uint32_t>(*at - '0');
    } else {
      break;  // a suffix such as -rc1
    }
  }
  return number + part;
}

pouch_cancel_t *pouch_cancel_new(void) {
  pouch_cancel_t *cancel = nullptr;
  pouch::capi::guarded_void([&] { cancel = std::make_unique<pouch_cancel_t>().release(); });
  return cancel;
}

void pouch_cancel_fire(pouch_cancel_t *cancel) {
  if (cancel == nullptr || cancel->pid != ::getpid()) return;
  pouch::capi::guarded_void([&] { cancel->token->fire(); });
}

int32_t pouch_cancel_is_fired(const pouch_cancel_t *cancel) {
  if (cancel == nullptr || cancel->pid != ::getpid()) return 0;
  return cancel->token->is_fired() ? 1 : 0;
}

pouch_cancel_t *pouch_cancel_ref(pouch_cancel_t *cancel) {
  if (cancel != nullptr) cancel->references.fetch_add(1, std::memory_order_relaxed);
  return cancel;
}

void pouch_cancel_unref(pouch_cancel_t *cancel) {
  if (cancel == nullptr || cancel->pid != ::getpid()) return;
  if (cancel->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    const std::unique_ptr<pouch_cancel_t> last(cancel);
  }
}
