#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flag_values.h"
#include "cli/folder_tar.h"
#include "cli/pull.h"

namespace pouch::cli {
namespace {

constexpr size_t kChunk = 256 * 1024;  // bytes per read

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw Exit(kExitError, "open " + path + ": " + std::strerror(errno));
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// Gives a file to an upload, as far as it wants it.
void upload(Stream& stream, int fd, const std::string& name) {
  std::vector<char> buffer(kChunk);
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Exit(kExitError, "read " + name + ": " + std::strerror(errno));
    if (count == 0 || !stream.write(std::string_view(buffer.data(), static_cast<size_t>(count)))) break;
  }
  stream.close_write();
}

bool is_folder(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw Exit(kExitError, "open " + path + ": " + std::strerror(errno));
  }
  return S_ISDIR(status.st_mode);
}

struct RootfsFlags {
  Words cmd;
  Words entrypoint;
  Words env;
  Words labels;
  std::string folder;
  std::string user;
  std::string architecture;
};

Json::Value options_of(const RootfsFlags& flags, const std::string& reference) {
  Json::Value out;
  out["reference"] = reference;
  for (const std::string& word : flags.cmd) out["cmd"].append(word);
  for (const std::string& word : flags.entrypoint) out["entrypoint"].append(word);
  for (const std::string& variable : flags.env) out["env"].append(variable);
  for (const std::string& label : flags.labels) {
    const size_t equals = label.find('=');
    out["labels"][label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  if (!flags.folder.empty()) out["workingdir"] = flags.folder;
  if (!flags.user.empty()) out["user"] = flags.user;
  if (!flags.architecture.empty()) out["architecture"] = flags.architecture;
  return out;
}

}  // namespace

int load_command(Context& context, const Invocation& invocation) {
  std::string input;
  std::string platform;
  bool quiet = false;
  Options options(invocation.command, "", "Load an image from a tar archive or STDIN", {0, 0});
  options.text("-i, --input", &input, "string", "Read from tar archive file, instead of STDIN");
  options.flag("-q, --quiet", &quiet, "Suppress the load output");
  options.value("--platform", "string", "Load only the given platform variant",
                [&](const std::string& text) { platform = parse_platform(text); });
  if (!options.parse(invocation.args)) {
    context.console().out(options.help());
    return 0;
  }
  std::optional<File> file;
  if (!input.empty()) file.emplace(input);
  if (!file && context.console().in_is_terminal()) {
    throw Exit(kExitError, "requested load from stdin, but stdin is empty");
  }
  Json::Value load(Json::objectValue);
  load["quiet"] = true;  // the result tells all that is printed
  if (!platform.empty()) load["platform"] = platform;
  Stream stream = context.client().open("image.load", {}, load);
  upload(stream, file ? file->fd() : context.console().in_fd(), file ? input : "standard input");
  const Json::Value result = stream.finish();
  for (const Json::Value& reference : result["References"]) {
    context.console().out_line("Loaded image: " + sanitised(reference.asString()));
  }
  for (const Json::Value& id : result["References"].empty() ? result["Ids"] : Json::Value()) {
    context.console().out_line("Loaded image ID: " + sanitised(id.asString()));
  }
  return 0;
}

int import_command(Context& context, const Invocation& invocation) {
  Words changes;
  std::string message;
  std::string platform;
  Options options(invocation.command, "file|URL|- [REPOSITORY[:TAG]]",
                  "Import the contents from a tarball to create a filesystem image", {1, 2});
  options.list("-c, --change", &changes, "Apply Dockerfile instruction to the created image");
  options.text("-m, --message", &message, "string", "Set commit message for imported image");
  options.text("--platform", &platform, "string", "Set platform if server is multi-platform capable");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  const std::string& source = arguments->front();
  const bool is_url = source.starts_with("http://") || source.starts_with("https://");
  std::optional<File> file;
  if (!is_url && source != "-") file.emplace(source);
  Json::Value import(Json::objectValue);
  if (is_url) import["fromSrc"] = source;  // the engine fetches it
  if (arguments->size() > 1) import["repo"] = arguments->back();
  if (!message.empty()) import["message"] = message;
  if (!platform.empty()) import["platform"] = platform;
  for (const std::string& change : changes) import["changes"].append(change);
  Stream stream = context.client().open("image.import_tar", {}, import);
  if (is_url) {
    // The last of what is told is the image's id.
    ProgressDisplay display(context.console(), /*to_err=*/false);
    while (const std::optional<Stream::Frame> frame = stream.next()) display.show(to_json(frame->data));
    stream.finish();
    return 0;
  }
  upload(stream, file ? file->fd() : context.console().in_fd(), file ? source : "standard input");
  context.console().out_line(sanitised(stream.finish()["Id"].asString()));
  return 0;
}

int from_rootfs_command(Context& context, const Invocation& invocation) {
  RootfsFlags flags;
  bool quiet = false;
  Options options(invocation.command, "DIRECTORY|TAR|- NAME[:TAG]", "Make an image from a root filesystem",
                  {2, 2});
  options.list("--cmd", &flags.cmd, "One word of the default command (repeatable)");
  options.list("--entrypoint", &flags.entrypoint, "One word of the entrypoint (repeatable)");
  options.list("-e, --env", &flags.env, "Set an environment variable, name=value");
  options.list("-l, --label", &flags.labels, "Set meta data on the image");
  options.text("-w, --workdir", &flags.folder, "string", "Working directory inside the container");
  options.text("-u, --user", &flags.user, "string", "Username or UID (format: <name|uid>[:<group|gid>])");
  options.text("--architecture", &flags.architecture, "string", "Architecture, for example amd64");
  options.flag("-q, --quiet", &quiet, "Only print the image's ID");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  const std::string& source = arguments->front();
  const bool from_folder = source != "-" && is_folder(source);
  std::optional<File> file;
  if (!from_folder && source != "-") file.emplace(source);
  Stream stream = context.client().open("image.from_rootfs", {}, options_of(flags, arguments->back()));
  if (from_folder) {
    write_folder_tar(source, [&](std::string_view bytes) { return stream.write(bytes); });
    stream.close_write();
  } else {
    upload(stream, file ? file->fd() : context.console().in_fd(), file ? source : "standard input");
  }
  const Json::Value result = stream.finish();
  if (quiet) {
    context.console().out_line(sanitised(result["Id"].asString()));
  } else {
    context.console().out_line("Made image: " + sanitised(result["Reference"].asString()));
  }
  return 0;
}

}  // namespace pouch::cli
