#include "core/ctrd/testing/test_image.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/ctrd/content.h"
#include "core/ctrd/diff.h"
#include "core/ctrd/snapshots.h"

namespace pouch::ctrd::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGzipLayer = "application/vnd.oci.image.layer.v1.tar+gzip";

std::string json_strings(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) {
    std::string text = "\"";
    for (const char c : word) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    quoted.push_back(text + "\"");
  }
  return "[" + join(quoted, ",") + "]";
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Call minute() {
  return {.deadline = Deadline::after_ms(60'000), .cancel = nullptr, .request_id = {}};
}

}  // namespace

Result<std::string> make_busybox_layer(const std::string& dir) {
  if (::access("/bin/busybox", X_OK) != 0) return not_implemented("busybox-static is not installed");
  const std::string tree = dir + "/busybox";
  const std::string tar = dir + "/busybox.tar.gz";
  std::error_code error;
  for (const char* folder : {"/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", "/root"}) {
    fs::create_directories(tree + folder, error);
  }
  fs::copy_file("/bin/busybox", tree + "/bin/busybox", fs::copy_options::overwrite_existing, error);
  for (const char* name :
       {"sh", "cat", "echo", "sleep", "true", "false", "ls", "stty", "ps", "kill", "grep"}) {
    fs::create_symlink("busybox", tree + "/bin/" + name, error);
  }
  std::ofstream(tree + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n";
  const std::string command = "tar -C '" + tree + "' --sort=name --mtime=@0 -czf '" + tar + "' .";
  if (std::system(command.c_str()) != 0) return internal_error("cannot run: " + command);  // NOLINT
  return tar;
}

Result<TestLayer> import_busybox(const Client& client, const std::string& dir) {
  POUCH_ASSIGN_OR_RETURN(const std::string tar, make_busybox_layer(dir));
  const std::string bytes = read_file(tar);
  const Labels keep{{"containerd.io/gc.root", "test"}};
  TestLayer layer;
  layer.blob.media_type = kGzipLayer;
  layer.blob.digest = Digest(sha256_digest(bytes));
  layer.blob.size = static_cast<int64_t>(bytes.size());
  const Call call = minute();
  POUCH_RETURN_IF_ERROR(
      client.content().write_blob(call, "layer-" + layer.blob.digest.str(), layer.blob, bytes, keep));
  const std::string key = "extract-" + random_hex(8);
  POUCH_ASSIGN_OR_RETURN(const std::vector<Mount> mounts,
                         client.snapshots().prepare(call, kSnapshotter, key, "", keep));
  POUCH_ASSIGN_OR_RETURN(const Descriptor applied, client.diff().apply(call, layer.blob, mounts));
  layer.diff_id = applied.digest;
  layer.snapshot = applied.digest.str();  // the chain id of a single layer is its diff id
  const Status committed = client.snapshots().commit(call, kSnapshotter, layer.snapshot, key, keep);
  if (!committed.is_ok() && committed.code() != Code::kAlreadyExists) return committed;
  return layer;
}

std::string minimal_process(const std::vector<std::string>& args, bool terminal) {
  return std::string(R"({"terminal":)") + (terminal ? "true" : "false") +
         R"(,"user":{"uid":0,"gid":0},"args":)" + json_strings(args) +
         R"(,"env":["PATH=/bin","TERM=xterm"],"cwd":"/","noNewPrivileges":true,)"
         R"("capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],"permitted":["CAP_KILL"]}})";
}

std::string minimal_spec(const std::string& id, const std::vector<std::string>& args, bool terminal) {
  return R"({"ociVersion":"1.0.2","process":)" + minimal_process(args, terminal) +
         R"(,"root":{"path":"rootfs"},"hostname":"test","mounts":[)"
         R"({"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec","nodev"]},)"
         R"({"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=65536k"]},)"
         R"({"destination":"/dev/pts","type":"devpts","source":"devpts",)"
         R"("options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620"]}],)"
         R"("linux":{"cgroupsPath":"/pouch-test-)" +
         id + R"(","namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]}})";
}

}  // namespace pouch::ctrd::testing
