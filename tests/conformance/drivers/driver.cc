// The C driver: nothing but pouch.h below, jsoncpp for the scripts. See ../README.md.

#include <json/json.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pouch.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kLarge = size_t{1} << 20U;
const std::set<std::string> kStreams = {
    "container.attach", "container.export", "image.import_tar",  "container.logs", "container.wait",
    "exec.start",       "image.copy_from",  "image.from_rootfs", "image.load",     "image.pull",
    "image.push",       "image.save",       "system.events",     "system.session"};

std::string write_compact(const Json::Value& value) {
  Json::StreamWriterBuilder builder;
  builder["indentation"] = "";
  builder["emitUTF8"] = true;
  return Json::writeString(builder, value);
}

Json::Value parse(const std::string& text) {
  Json::Value value;
  std::istringstream stream(text);
  Json::CharReaderBuilder builder;
  std::string errors;
  Json::parseFromStream(builder, stream, &value, &errors);
  return value;
}

std::string to_base64(const std::string& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

std::string from_base64(const std::string& text) {
  std::string out(text.size(), '\0');
  const int size =
      ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  size_t padding = 0;
  while (padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<size_t>(size) - padding);
  return out;
}

std::string shown(const std::string& bytes) {
  if (bytes.size() <= kLarge) return to_base64(bytes);
  unsigned char sum[SHA256_DIGEST_LENGTH];
  ::SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), sum);
  std::string hex;
  for (const unsigned char byte : sum) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", static_cast<unsigned>(byte));
    hex += text;
  }
  return "sha256:" + hex + ":" + std::to_string(bytes.size());
}

/// One line of output, built up while a step runs.
struct Line {
  Json::Value fields{Json::objectValue};
  std::map<std::string, std::string> bytes;

  explicit Line(int step) {
    fields["step"] = step;
    fields["code"] = "Ok";
    fields["message"] = "";
    fields["result"] = Json::Value();
  }

  void fail(pouch_status_t status, pouch_error_t* error) {
    if (fields["code"].asString() == "Ok") {
      fields["code"] = pouch_status_name(status);
      fields["message"] = pouch_error_message(error);
    }
    pouch_error_free(error);
  }

  void add(uint32_t channel, const std::string& data) {
    static const std::map<uint32_t, std::string> names = {{1, "stdout"}, {2, "stderr"}, {3, "data"}};
    if (channel == POUCH_CHANNEL_MESSAGE) {
      fields["messages"].append(parse(data));
    } else {
      bytes[names.at(channel)] += data;
    }
  }

  void show() {
    for (const auto& [name, data] : bytes) fields[name] = shown(data);
    std::cout << write_compact(fields) << std::endl;
  }
};

class Driver {
 public:
  Driver(pouch_client_t* client, std::map<std::string, std::string> variables)
      : client_(client), variables_(std::move(variables)) {
    variables_["run"] = std::to_string(std::random_device()());
  }
  ~Driver() { pouch_client_free(client_); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void run(const Json::Value& script) {
    int number = 0;
    for (const Json::Value& raw : script["steps"]) {
      const Json::Value step = substitute(raw);
      Line line(number++);
      run_step(step, line);
      for (const std::string& name : step["save"].getMemberNames()) {
        const Json::Value& value = line.fields["result"][step["save"][name].asString()];
        if (!value.isNull()) variables_[name] = value.asString();
      }
      line.show();
    }
  }

 private:
  Json::Value substitute(const Json::Value& value) const {
    if (value.isString()) return substitute_text(value.asString());
    if (value.isArray()) {
      Json::Value out(Json::arrayValue);
      for (const Json::Value& element : value) out.append(substitute(element));
      return out;
    }
    if (!value.isObject()) return value;
    Json::Value out(Json::objectValue);
    for (const std::string& key : value.getMemberNames()) {
      if (!key.starts_with("expect")) out[substitute_text(key)] = substitute(value[key]);
    }
    return out;
  }

  std::string substitute_text(std::string text) const {
    for (const auto& [name, value] : variables_) {
      const std::string mark = "${" + name + "}";
      for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size())) {
        text.replace(at, mark.size(), value);
      }
    }
    return text;
  }

  void run_step(const Json::Value& step, Line& line) {
    if (step.isMember("sleep_ms")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(step["sleep_ms"].asInt()));
    } else if (step.isMember("close")) {
      pouch_client_close(client_);
    } else if (step.isMember("resize")) {
      pouch_error_t* error = nullptr;
      const pouch_status_t status = pouch_stream_resize(
          background_[step["resize"].asString()], step["rows"].asUInt(), step["columns"].asUInt(), &error);
      if (status != POUCH_OK) line.fail(status, error);
    } else if (step.isMember("join")) {
      pouch_stream_t* stream = background_[step["join"].asString()];
      background_.erase(step["join"].asString());
      read_stream(stream, step, line);
    } else {
      run_operation(step, line);
    }
  }

  void run_operation(const Json::Value& step, Line& line) {
    const std::string op = step["op"].asString();
    std::vector<std::string> texts;
    for (const Json::Value& id : step["ids"]) texts.push_back(id.asString());
    std::vector<const char*> ids;
    for (const std::string& text : texts) ids.push_back(text.c_str());
    const std::string config = step.isMember("config") ? write_compact(step["config"]) : "";
    const std::string options = step.isMember("options") ? write_compact(step["options"]) : "";
    const char* config_json = config.empty() ? nullptr : config.c_str();
    const char* options_json = options.empty() ? nullptr : options.c_str();
    pouch_call_t call = POUCH_CALL_INIT;
    call.deadline_ms = step["deadline_ms"].asInt64();
    pouch_error_t* error = nullptr;
    if (kStreams.contains(op)) {
      pouch_stream_t* stream = nullptr;
      const pouch_status_t status = pouch_open(client_, op.c_str(), ids.data(), ids.size(), config_json,
                                               options_json, &call, &stream, &error);
      if (status != POUCH_OK) {
        line.fail(status, error);
      } else if (step.isMember("background")) {
        background_[step["background"].asString()] = stream;
      } else if (step["abandon"].asBool()) {
        pouch_stream_free(stream);
      } else {
        read_stream(stream, step, line);
      }
      return;
    }
    call.cancel = pouch_cancel_new();
    if (step.get("cancel_after_ms", -1).asInt() == 0) pouch_cancel_fire(call.cancel);
    std::thread canceller = cancel_later(step, call.cancel);
    pouch_buf_t result = POUCH_BUF_INIT;
    const pouch_status_t status = pouch_call(client_, op.c_str(), ids.data(), ids.size(), config_json,
                                             options_json, &call, &result, &error);
    if (canceller.joinable()) canceller.join();
    pouch_cancel_unref(call.cancel);
    if (status != POUCH_OK) line.fail(status, error);
    if (result.size > 0) line.fields["result"] = parse(std::string(result.data, result.size));
    pouch_buf_free(&result);
  }

  static std::thread cancel_later(const Json::Value& step, pouch_cancel_t* token) {
    if (!step.isMember("cancel_after_ms")) return {};
    return std::thread([ms = step["cancel_after_ms"].asInt(), token] {
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
      pouch_cancel_fire(token);
    });
  }

  static std::vector<std::string> input_of(const Json::Value& step) {
    if (step.isMember("input")) return {step["input"].asString()};
    if (step.isMember("input_base64")) return {from_base64(step["input_base64"].asString())};
    std::vector<std::string> chunks;
    if (step.isMember("input_zeros")) {
      for (int64_t left = step["input_zeros"].asInt64(); left > 0; left -= static_cast<int64_t>(kLarge)) {
        chunks.emplace_back(static_cast<size_t>(std::min<int64_t>(left, kLarge)), '\0');
      }
    } else if (step.isMember("upload")) {
      std::ifstream file(step["upload"].asString(), std::ios::binary);
      std::string chunk(kLarge, '\0');
      while (file.read(chunk.data(), kLarge), file.gcount() > 0) {
        chunks.push_back(chunk.substr(0, static_cast<size_t>(file.gcount())));
      }
    }
    return chunks;
  }

  static void feed(pouch_stream_t* stream, const Json::Value& step) {
    const bool has_input = step.isMember("input") || step.isMember("input_base64") ||
                           step.isMember("input_zeros") || step.isMember("upload");
    if (!has_input) return;
    pouch_error_t* error = nullptr;
    for (const std::string& chunk : input_of(step)) {
      for (size_t done = 0; done < chunk.size();) {
        size_t written = 0;
        if (pouch_stream_write(stream, chunk.data() + done, chunk.size() - done, -1, &written, &error) < 0) {
          pouch_error_free(error);
          return;  // the reader learns why
        }
        done += written;
      }
    }
    if (!step["keep_input_open"].asBool()) {
      pouch_stream_close_write(stream, &error);
      pouch_error_free(error);
    }
  }

  static void read_stream(pouch_stream_t* stream, const Json::Value& step, Line& line) {
    std::thread feeder([&] { feed(stream, step); });
    std::thread canceller;
    if (step.isMember("cancel_after_ms")) {
      canceller = std::thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(step["cancel_after_ms"].asInt()));
        pouch_stream_cancel(stream);
      });
    }
    read_frames(stream, step, line);
    feeder.join();
    if (canceller.joinable()) canceller.join();
    pouch_stream_cancel(stream);
    pouch_stream_free(stream);
  }

  static void read_frames(pouch_stream_t* stream, const Json::Value& step, Line& line) {
    pouch_error_t* error = nullptr;
    int frames = 0;
    while (true) {
      pouch_frame_t frame = POUCH_FRAME_INIT;
      const pouch_status_t status = pouch_stream_next(stream, -1, &frame, &error);
      if (status == POUCH_EOF) break;
      if (status != POUCH_OK) {
        line.fail(status, error);
        pouch_stream_cancel(stream);
        return;
      }
      line.add(frame.channel, std::string(frame.data, frame.size));
      if (++frames == step.get("max_frames", -1).asInt()) {
        pouch_stream_cancel(stream);
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(step["read_delay_ms"].asInt()));
    }
    pouch_buf_t result = POUCH_BUF_INIT;
    const pouch_status_t status = pouch_stream_finish(stream, &result, &error);
    if (status != POUCH_OK) line.fail(status, error);
    if (result.size > 0) line.fields["result"] = parse(std::string(result.data, result.size));
    pouch_buf_free(&result);
  }

  pouch_client_t* const client_;
  std::map<std::string, std::string> variables_;
  std::map<std::string, pouch_stream_t*> background_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: " << argv[0] << " URI SCRIPT [NAME=VALUE ...]\n";
    return 2;
  }
  pouch_client_t* client = nullptr;
  pouch_error_t* error = nullptr;
  if (pouch_client_open(argv[1], nullptr, &client, &error) != POUCH_OK) {
    std::cerr << pouch_error_message(error) << "\n";
    pouch_error_free(error);
    return 1;
  }
  std::map<std::string, std::string> variables;
  for (int i = 3; i < argc; ++i) {
    const std::string pair = argv[i];
    variables[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
  }
  std::ifstream file(argv[2]);
  std::stringstream text;
  text << file.rdbuf();
  Driver(client, variables).run(parse(text.str()));
  return 0;
}
