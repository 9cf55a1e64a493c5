#include "core/cni/cache.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/base/base64.h"
#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/sys/file.h"
#include "core/sys/secure_dir.h"

namespace pouch::cni {
namespace {

constexpr const char* kKind = "cniCacheV1";
constexpr const char* kTemporary = ".new-";  // as sys::write_file_atomic names what it has not finished

std::string name_of(const std::string& network, const AttachmentKey& key) {
  return network + "-" + key.first + "-" + key.second;
}

Json entry_json(const NetworkList& list, const Attachment& attachment, const Outcome* outcome) {
  Json entry = json_object();
  entry["kind"] = kKind;
  entry["containerId"] = attachment.container_id;
  entry["config"] = base64_encode(list.text);
  entry["ifName"] = attachment.ifname;
  entry["networkName"] = list.name;
  if (!attachment.netns.empty()) entry["netns"] = attachment.netns;
  for (const auto& [key, value] : attachment.args) {
    Json pair = json_array();
    pair.append(key);
    pair.append(value);
    entry["cniArgs"].append(std::move(pair));
  }
  if (!attachment.capabilities.empty()) entry["capabilityArgs"] = attachment.capabilities;
  if (outcome != nullptr) entry["result"] = outcome->document;
  return entry;
}

std::string text_of(const Json& entry, const char* key) {
  return entry[key].isString() ? entry[key].asString() : std::string();
}

void read_args(const Json& pairs, Attachment& attachment) {
  if (!pairs.isArray()) return;
  for (const Json& pair : pairs) {
    if (pair.isArray() && pair.size() == 2 && pair[0].isString() && pair[1].isString()) {
      attachment.args[pair[0].asString()] = pair[1].asString();
    }
  }
}

Result<CachedAttachment> parse_entry(const std::string& text) {
  POUCH_ASSIGN_OR_RETURN(const Json entry, parse_json(text));
  if (!entry.isObject() || text_of(entry, "kind") != kKind)
    return invalid_argument("it is no " + quote(kKind));
  CachedAttachment cached;
  cached.network = text_of(entry, "networkName");
  cached.attachment.container_id = text_of(entry, "containerId");
  cached.attachment.ifname = text_of(entry, "ifName");
  cached.attachment.netns = text_of(entry, "netns");
  read_args(entry["cniArgs"], cached.attachment);
  if (entry["capabilityArgs"].isObject()) cached.attachment.capabilities = entry["capabilityArgs"];
  const std::optional<std::string> list = base64_decode(text_of(entry, "config"));
  if (!list) return invalid_argument("its \"config\" is not base64");
  cached.list_text = *list;
  if (entry["result"].isNull()) return cached;
  POUCH_ASSIGN_OR_RETURN(cached.outcome, parse_outcome(entry["result"], "0.1.0"));
  cached.is_complete = true;
  return cached;
}

AttachmentKey key_of(const CachedAttachment& cached) {
  return {cached.attachment.container_id, cached.attachment.ifname};
}

// "a-b" and "c" make the same file name as "a" and "b-c".
bool is_of_another(const std::string& path, const std::string& network, const AttachmentKey& key) {
  const Result<std::string> text = sys::read_file(path);
  if (!text.is_ok()) return false;
  const Result<CachedAttachment> cached = parse_entry(*text);
  return cached.is_ok() && (cached->network != network || key_of(*cached) != key);
}

// Names sorted; none where there is no folder.
Result<std::vector<std::string>> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return errno_status(error.value(), "read folder " + quote(folder));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string Cache::path_of(const std::string& network, const AttachmentKey& key) const {
  return folder_ + "/" + name_of(network, key);
}

Status Cache::write(const NetworkList& list, const Attachment& attachment, const Outcome* outcome) const {
  POUCH_ASSIGN_OR_RETURN(const UniqueFd folder, sys::secure_mkdir(folder_));
  const AttachmentKey key = {attachment.container_id, attachment.ifname};
  const std::string path = path_of(list.name, key);
  if (is_of_another(path, list.name, key)) {
    return conflict("CNI cache: " + quote(path) + " is another attachment's");
  }
  const std::string text = write_json(entry_json(list, attachment, outcome));
  return with_faults("cni.cache",
                     [&] { return sys::write_file_atomic(path, text, 0600, outcome != nullptr); });
}

Result<std::optional<CachedAttachment>> Cache::read(const std::string& network,
                                                    const AttachmentKey& key) const {
  const std::string path = path_of(network, key);
  const Result<std::string> text = sys::read_file(path);
  if (text.code() == Code::kNotFound) return std::optional<CachedAttachment>();
  if (!text.is_ok()) return text.status();
  Result<CachedAttachment> cached = parse_entry(*text);
  if (!cached.is_ok()) {
    return Status(Code::kDataLoss, "CNI cache " + quote(path) + ": " + cached.status().message());
  }
  if (cached->network != network || key_of(*cached) != key) return std::optional<CachedAttachment>();
  return std::optional<CachedAttachment>(std::move(*cached));
}

Status Cache::remove(const std::string& network, const AttachmentKey& key) const {
  const std::string path = path_of(network, key);
  if (is_of_another(path, network, key)) return {};
  POUCH_RETURN_IF_ERROR(with_faults("cni.uncache", [&]() -> Status {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return errno_status(errno, "remove " + quote(path));
  }));
  // What a killed process was writing.
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, names_in(folder_));
  for (const std::string& name : names) {
    if (name.starts_with(name_of(network, key) + kTemporary)) ::unlink((folder_ + "/" + name).c_str());
  }
  return {};
}

Result<std::vector<CachedAttachment>> Cache::list(const std::string& network) const {
  POUCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, names_in(folder_));
  std::vector<CachedAttachment> entries;
  for (const std::string& name : names) {
    const Result<std::string> text = sys::read_file(folder_ + "/" + name);
    if (!text.is_ok()) continue;  // removed meanwhile
    Result<CachedAttachment> cached = parse_entry(*text);
    if (!cached.is_ok() || name != name_of(cached->network, key_of(*cached))) continue;
    if (network.empty() || cached->network == network) entries.push_back(std::move(*cached));
  }
  return entries;
}

}  // namespace pouch::cni
