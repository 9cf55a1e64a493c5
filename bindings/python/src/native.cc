// The hand-bound base of the Python binding: clients, calls, streams and cancellation of pouch.h. Everything
// else is Python. The GIL is released around every call of the library.

#include <cxxabi.h>
#include <pouch.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace {

// How often a call on the main thread looks for Ctrl-C.
constexpr std::chrono::milliseconds kSignalPeriod{50};
// How long one native wait of a stream lasts before signals are looked at.
constexpr int64_t kSliceMs = 100;

struct ErrorFree {
  void operator()(pouch_error_t* error) const { pouch_error_free(error); }
};
using ErrorPtr = std::unique_ptr<pouch_error_t, ErrorFree>;

class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { pouch_buf_free(&buf_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  pouch_buf_t* get() { return &buf_; }
  std::optional<std::string> text() const {
    if (buf_.data == nullptr || buf_.size == 0) return std::nullopt;
    return std::string(buf_.data, buf_.size);
  }

 private:
  pouch_buf_t buf_ = POUCH_BUF_INIT;
};

// pouch._errors.make(code, message, details_json, retriable) builds the exception of the right class.
[[noreturn]] void raise(pouch_status_t status, const ErrorPtr& error) {
  const py::object make = py::module_::import("pouch._errors").attr("make");
  const std::string message = error ? pouch_error_message(error.get()) : pouch_status_name(status);
  const std::string details = error ? pouch_error_details_json(error.get()) : "";
  const bool retriable = error && pouch_error_is_retriable(error.get()) != 0;
  const py::object exception = make(static_cast<int>(status), message, details, retriable);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw py::error_already_set();
}

void check(pouch_status_t status, const ErrorPtr& error) {
  if (status < 0) raise(status, error);
}

bool on_main_thread() {
  const py::object threading = py::module_::import("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

class CancelRef {
 public:
  CancelRef() : token_(pouch_cancel_new()) {}
  ~CancelRef() { pouch_cancel_unref(token_); }
  CancelRef(const CancelRef&) = delete;
  CancelRef& operator=(const CancelRef&) = delete;
  void fire() { pouch_cancel_fire(token_); }
  pouch_cancel_t* get() const { return token_; }

 private:
  pouch_cancel_t* const token_;
};

using CancelPtr = std::shared_ptr<CancelRef>;

// The time without the GIL. Python ends daemon threads that want it back while the interpreter ends, by
// unwinding their stacks, which destroys Python's objects without the GIL. They stand still instead, as since
// Python 3.14.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    try {
      PyEval_RestoreThread(state_);
    } catch (abi::__forced_unwind&) {
      while (true) ::pause();
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* const state_;
};

// Runs `work` without the GIL. On the main thread it runs on a helper thread, so that Ctrl-C can cancel it.
template <class Work>
pouch_status_t interruptible(CancelRef& cancel, Work work) {
  if (!on_main_thread()) {
    const Unlocked unlocked;
    return work();
  }
  std::mutex mutex;
  std::condition_variable done;
  std::optional<pouch_status_t> status;
  std::thread helper([&] {
    const pouch_status_t result = work();
    const std::lock_guard lock(mutex);
    status = result;
    done.notify_all();
  });
  bool interrupted = false;
  while (true) {
    {
      const Unlocked unlocked;
      std::unique_lock lock(mutex);
      if (done.wait_for(lock, kSignalPeriod, [&] { return status.has_value(); })) break;
    }
    if (PyErr_CheckSignals() != 0) {
      interrupted = true;
      cancel.fire();
      const Unlocked unlocked;
      std::unique_lock lock(mutex);
      done.wait(lock, [&] { return status.has_value(); });
      break;
    }
  }
  helper.join();
  if (interrupted) throw py::error_already_set();
  return *status;
}

pouch_call_t call_of(int64_t timeout_ms, const CancelRef& cancel, const std::string& request_id) {
  pouch_call_t call = POUCH_CALL_INIT;
  call.deadline_ms = timeout_ms;
  call.cancel = cancel.get();
  call.request_id = request_id.empty() ? nullptr : request_id.c_str();
  return call;
}

const char* text_or_null(const std::optional<std::string>& text) {
  return text ? text->c_str() : nullptr;
}

class Stream {
 public:
  explicit Stream(pouch_stream_t* stream) : stream_(stream) {}
  // NOLINTNEXTLINE(bugprone-exception-escape): what could throw is pybind11's release of the interpreter
  // lock.
  ~Stream() { free(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // (channel, flags, bytes), None at the end, False when nothing came in time (-1: wait for ever).
  py::object next(int64_t timeout_ms) {
    pouch_frame_t frame = POUCH_FRAME_INIT;
    const pouch_status_t status = in_slices(timeout_ms, [&](int64_t slice, pouch_error_t** error) {
      return pouch_stream_next(handle(), slice, &frame, error);
    });
    if (status == POUCH_EOF) return py::none();
    if (status == POUCH_AGAIN) return py::bool_(false);
    return py::make_tuple(frame.channel, frame.flags, py::bytes(frame.data, frame.size));
  }

  size_t write(const py::bytes& data, int64_t timeout_ms) {
    const std::string_view bytes = data;
    size_t done = 0;
    in_slices(timeout_ms, [&](int64_t slice, pouch_error_t** error) {
      size_t written = 0;
      const pouch_status_t status =
          pouch_stream_write(handle(), bytes.data() + done, bytes.size() - done, slice, &written, error);
      done += written;
      return status == POUCH_OK && done < bytes.size() ? POUCH_AGAIN : status;
    });
    return done;
  }

  void close_write() {
    pouch_error_t* raw = nullptr;
    const pouch_status_t status = [&] {
      const Unlocked unlocked;
      return pouch_stream_close_write(handle(), &raw);
    }();
    check(status, ErrorPtr(raw));
  }

  void resize(uint32_t rows, uint32_t cols) {
    pouch_error_t* raw = nullptr;
    const pouch_status_t status = pouch_stream_resize(handle(), rows, cols, &raw);
    check(status, ErrorPtr(raw));
  }

  int pollfd() const { return stream_ == nullptr ? -1 : pouch_stream_pollfd(stream_); }

  std::optional<std::string> finish() {
    Buffer result;
    pouch_error_t* raw = nullptr;
    CancelRef unused;
    const pouch_status_t status =
        interruptible(unused, [&] { return pouch_stream_finish(handle(), result.get(), &raw); });
    check(status, ErrorPtr(raw));
    return result.text();
  }

  void cancel() {
    if (stream_ != nullptr) pouch_stream_cancel(stream_);
  }

  void free() {
    pouch_stream_t* stream = std::exchange(stream_, nullptr);
    const Unlocked unlocked;
    pouch_stream_free(stream);
  }

 private:
  pouch_stream_t* handle() const { return stream_; }

  // Repeats a native wait in slices, so that signals reach Python; AGAIN once the whole time is over.
  template <class Step>
  pouch_status_t in_slices(int64_t timeout_ms, Step step) {
    const auto start = std::chrono::steady_clock::now();
    while (true) {
      const auto spent =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
      const int64_t left = timeout_ms < 0 ? kSliceMs : std::max<int64_t>(0, timeout_ms - spent.count());
      pouch_error_t* raw = nullptr;
      pouch_status_t status = POUCH_OK;
      {
        const Unlocked unlocked;
        status = step(std::min(left, kSliceMs), &raw);
      }
      check(status, ErrorPtr(raw));
      if (status != POUCH_AGAIN) return status;
      if (timeout_ms >= 0 && left <= kSliceMs) return status;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  pouch_stream_t* stream_;
};

class Client {
 public:
  Client(const std::optional<std::string>& uri, uint32_t log_level, bool session) {
    pouch_client_options_t options = POUCH_CLIENT_OPTIONS_INIT;
    options.log_level = log_level;
    options.session = session ? 1 : 0;
    pouch_error_t* raw = nullptr;
    const pouch_status_t status = [&] {
      const Unlocked unlocked;
      return pouch_client_open(text_or_null(uri), &options, &client_, &raw);
    }();
    check(status, ErrorPtr(raw));
  }
  // NOLINTNEXTLINE(bugprone-exception-escape): as ~Stream
  ~Client() {
    const Unlocked unlocked;
    pouch_client_free(client_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void close() {
    const Unlocked unlocked;
    pouch_client_close(client_);
  }

  std::string uri() const { return pouch_client_uri(client_); }
  bool supports(const std::string& op) const { return pouch_client_supports(client_, op.c_str()) != 0; }

  std::optional<std::string> call(const std::string& op, const std::vector<std::string>& ids,
                                  const std::optional<std::string>& config,
                                  const std::optional<std::string>& options, int64_t timeout_ms,
                                  const CancelPtr& cancel, const std::string& request_id) {
    Buffer result;
    pouch_error_t* raw = nullptr;
    const std::vector<const char*> names = pointers(ids);
    const pouch_call_t with = call_of(timeout_ms, *cancel, request_id);
    const pouch_status_t status = interruptible(*cancel, [&] {
      return pouch_call(client_, op.c_str(), names.data(), names.size(), text_or_null(config),
                        text_or_null(options), &with, result.get(), &raw);
    });
    check(status, ErrorPtr(raw));
    return result.text();
  }

  std::unique_ptr<Stream> open(const std::string& op, const std::vector<std::string>& ids,
                               const std::optional<std::string>& config,
                               const std::optional<std::string>& options, int64_t timeout_ms,
                               const CancelPtr& cancel, const std::string& request_id) {
    pouch_stream_t* stream = nullptr;
    pouch_error_t* raw = nullptr;
    const std::vector<const char*> names = pointers(ids);
    const pouch_call_t with = call_of(timeout_ms, *cancel, request_id);
    const pouch_status_t status = interruptible(*cancel, [&] {
      return pouch_open(client_, op.c_str(), names.data(), names.size(), text_or_null(config),
                        text_or_null(options), &with, &stream, &raw);
    });
    check(status, ErrorPtr(raw));
    return std::make_unique<Stream>(stream);
  }

  // (result document, stream or None); `attach` false runs in the background.
  py::tuple run(const std::string& config, const std::optional<std::string>& options, bool attach,
                int64_t timeout_ms, const CancelPtr& cancel) {
    Buffer result;
    pouch_stream_t* stream = nullptr;
    pouch_error_t* raw = nullptr;
    const pouch_call_t with = call_of(timeout_ms, *cancel, {});
    const pouch_status_t status = interruptible(*cancel, [&] {
      return pouch_container_run(client_, config.c_str(), text_or_null(options), &with, result.get(),
                                 attach ? &stream : nullptr, &raw);
    });
    check(status, ErrorPtr(raw));
    py::object handle = py::none();
    if (stream != nullptr) handle = py::cast(std::make_unique<Stream>(stream));
    return py::make_tuple(result.text(), handle);
  }

 private:
  static std::vector<const char*> pointers(const std::vector<std::string>& ids) {
    std::vector<const char*> out;
    out.reserve(ids.size());
    for (const std::string& id : ids) out.push_back(id.c_str());
    return out;
  }

  pouch_client_t* client_ = nullptr;
};

std::optional<std::string> check_engine(const std::optional<std::string>& uri, int64_t timeout_ms,
                                        const CancelPtr& cancel, const std::string& request_id) {
  Buffer result;
  pouch_error_t* raw = nullptr;
  const pouch_call_t with = call_of(timeout_ms, *cancel, request_id);
  const pouch_status_t status = interruptible(
      *cancel, [&] { return pouch_check(text_or_null(uri), nullptr, &with, result.get(), &raw); });
  check(status, ErrorPtr(raw));
  return result.text();
}

std::optional<std::string> reset_root(const std::string& uri, const std::optional<std::string>& options,
                                      int64_t timeout_ms, const CancelPtr& cancel,
                                      const std::string& request_id) {
  Buffer result;
  pouch_error_t* raw = nullptr;
  const pouch_call_t with = call_of(timeout_ms, *cancel, request_id);
  const pouch_status_t status = interruptible(
      *cancel, [&] { return pouch_reset(uri.c_str(), text_or_null(options), &with, result.get(), &raw); });
  check(status, ErrorPtr(raw));
  return result.text();
}

std::unique_ptr<Stream> open_log(uint32_t level) {
  pouch_stream_t* stream = nullptr;
  pouch_error_t* raw = nullptr;
  const pouch_status_t status = pouch_log_open(level, &stream, &raw);
  check(status, ErrorPtr(raw));
  return std::make_unique<Stream>(stream);
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "The base of pouch.h; use the package pouch.";
  py::class_<CancelRef, CancelPtr>(module, "Cancel").def(py::init<>()).def("fire", &CancelRef::fire);
  py::class_<Stream>(module, "Stream")
      .def("next", &Stream::next)
      .def("write", &Stream::write)
      .def("close_write", &Stream::close_write)
      .def("resize", &Stream::resize)
      .def("pollfd", &Stream::pollfd)
      .def("finish", &Stream::finish)
      .def("cancel", &Stream::cancel)
      .def("free", &Stream::free);
  py::class_<Client>(module, "Client")
      .def(py::init<const std::optional<std::string>&, uint32_t, bool>())
      .def("close", &Client::close)
      .def("uri", &Client::uri)
      .def("supports", &Client::supports)
      .def("call", &Client::call)
      .def("open", &Client::open)
      .def("run", &Client::run);
  module.def("check_engine", &check_engine);
  module.def("reset_root", &reset_root);
  module.def("open_log", &open_log);
  module.def("version", [] { return std::string(pouch_version()); });
  module.def("status_name", [](int status) { return std::string(pouch_status_name(status)); });
}
