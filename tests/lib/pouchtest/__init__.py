"""What Pouch's own tests stand on: private daemons, images made on the spot, and a guard against leaks.

Everything lives in one private folder and on sockets and loopback ports of its own, so that any number of test runs
share a machine, and a run leaves nothing behind.
"""

from .cgroups import hugetlb_cgroup
from .containerd import PrivateContainerd
from .dockerd import PrivateDockerd
from .embed import embed_root, end_keepers
from .images import BUSYBOX, busybox_image_tar, busybox_oci_layout, busybox_rootfs
from .leaks import LeakError, LeakGuard
from .paths import REPO, build_dir, docker_cli, find_program, private_dir
from .ports import free_port
from .pouchd import Pouchd
from .registry import PrivateRegistry
from .run import CommandError, Result, run

__all__ = [
    "BUSYBOX",
    "CommandError",
    "LeakError",
    "LeakGuard",
    "Pouchd",
    "PrivateContainerd",
    "PrivateDockerd",
    "PrivateRegistry",
    "REPO",
    "Result",
    "build_dir",
    "busybox_image_tar",
    "busybox_oci_layout",
    "busybox_rootfs",
    "docker_cli",
    "embed_root",
    "end_keepers",
    "find_program",
    "free_port",
    "hugetlb_cgroup",
    "private_dir",
    "run",
]
