#pragma once

#include "cli/context.h"

// The commands; each in the file of its name. They return the exit code, or throw Exit.
namespace pouch::cli {

int attach_command(Context& context, const Invocation& invocation);
int check_command(Context& context, const Invocation& invocation);
int reset_command(Context& context, const Invocation& invocation);
int commit_command(Context& context, const Invocation& invocation);
int copy_from_command(Context& context, const Invocation& invocation);
int create_command(Context& context, const Invocation& invocation);
int df_command(Context& context, const Invocation& invocation);
int diagnose_command(Context& context, const Invocation& invocation);
int events_command(Context& context, const Invocation& invocation);
int exec_command(Context& context, const Invocation& invocation);
int export_command(Context& context, const Invocation& invocation);
int from_rootfs_command(Context& context, const Invocation& invocation);
int history_command(Context& context, const Invocation& invocation);
int image_prune_command(Context& context, const Invocation& invocation);
int import_command(Context& context, const Invocation& invocation);
int images_command(Context& context, const Invocation& invocation);
int info_command(Context& context, const Invocation& invocation);
int inspect_command(Context& context, const Invocation& invocation);
int inspect_container_command(Context& context, const Invocation& invocation);
int inspect_image_command(Context& context, const Invocation& invocation);
int kill_command(Context& context, const Invocation& invocation);
int load_command(Context& context, const Invocation& invocation);
int login_command(Context& context, const Invocation& invocation);
int logout_command(Context& context, const Invocation& invocation);
int logs_command(Context& context, const Invocation& invocation);
int network_connect_command(Context& context, const Invocation& invocation);
int network_create_command(Context& context, const Invocation& invocation);
int network_disconnect_command(Context& context, const Invocation& invocation);
int network_inspect_command(Context& context, const Invocation& invocation);
int network_ls_command(Context& context, const Invocation& invocation);
int network_prune_command(Context& context, const Invocation& invocation);
int network_rm_command(Context& context, const Invocation& invocation);
int port_command(Context& context, const Invocation& invocation);
int ps_command(Context& context, const Invocation& invocation);
int pull_command(Context& context, const Invocation& invocation);
int push_command(Context& context, const Invocation& invocation);
int rename_command(Context& context, const Invocation& invocation);
int rm_command(Context& context, const Invocation& invocation);
int rmi_command(Context& context, const Invocation& invocation);
int run_command(Context& context, const Invocation& invocation);
int save_command(Context& context, const Invocation& invocation);
int start_command(Context& context, const Invocation& invocation);
int stop_command(Context& context, const Invocation& invocation);
int tag_command(Context& context, const Invocation& invocation);
int version_command(Context& context, const Invocation& invocation);
int volume_create_command(Context& context, const Invocation& invocation);
int volume_inspect_command(Context& context, const Invocation& invocation);
int volume_ls_command(Context& context, const Invocation& invocation);
int volume_prune_command(Context& context, const Invocation& invocation);
int volume_rm_command(Context& context, const Invocation& invocation);
int wait_command(Context& context, const Invocation& invocation);

}  // namespace pouch::cli
