"""The machine's root file system, kernel and initramfs: built once, and kept under a hash of all that goes into them."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
# Part of the hash: to be raised when the code below makes another image of the same inputs.
_RECIPE = 1
_SIZE = "3G"
# Never wanted in a machine that lives for a minute.
_MASKED = ("docker.service", "docker.socket", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer",
           "e2scrub_reap.service", "fstrim.timer", "dpkg-db-backup.timer", "systemd-timesyncd.service",
           "systemd-networkd.service", "getty@tty1.service", "systemd-update-utmp.service")
# For some tests, which start what they need and stop it again.
_DISABLED = ("firewalld.service", "nfs-server.service", "nfs-client.target", "nfs-blkmap.service", "rpcbind.service",
             "rpcbind.socket")
_MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "crc32c_intel")


class Image:
    """Where the parts of a built image are."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.root, self.kernel, self.initrd = (self.folder / name for name in ("root.img", "vmlinuz", "initrd.img"))

    def is_there(self):
        return all(part.exists() for part in (self.root, self.kernel, self.initrd))


def cache_dir():
    """$POUCH_TESTVM_CACHE, else a folder in the user's cache."""
    named = os.environ.get("POUCH_TESTVM_CACHE")
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return pathlib.Path(named) if named else home / "pouch-testvm"


def read_packages(text):
    """The package names of a list with comments."""
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


def codename(os_release):
    """VERSION_CODENAME of /etc/os-release's text: what is built here must run in the machine."""
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    raise ValueError("/etc/os-release has no VERSION_CODENAME; the test machine is built on Debian only")


def choose_mirror(lines, suite):
    """The mirror that apt uses for a suite, of `apt-get indextargets` lines "origin|codename|component|URI"."""
    for line in lines:
        fields = line.split("|")
        if fields[:3] == ["Debian", suite, "main"]:
            return fields[3]
    raise ValueError(f"apt is not configured with Debian's {suite} main, so there is no mirror to build from")


def inputs_hash(suite, packages, guest_files):
    """Names an image: the same inputs give the same name."""
    text = repr((_RECIPE, _SIZE, suite, sorted(packages), _MASKED, _DISABLED, _MODULES, sorted(guest_files.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find():
    """The image for today's inputs, built or not."""
    packages = read_packages((HERE / "packages.txt").read_text())
    suite = codename(pathlib.Path("/etc/os-release").read_text())
    return Image(cache_dir() / inputs_hash(suite, packages, _guest_files()))


def build():
    """Builds the image unless it is there; older images go."""
    image = find()
    if image.is_there():
        return image
    packages = read_packages((HERE / "packages.txt").read_text())
    suite = codename(pathlib.Path("/etc/os-release").read_text())
    image.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=image.folder.parent) as work:
        rootfs = pathlib.Path(work) / "rootfs"
        print(f"testvm: debootstrap {suite} with {len(packages)} packages", flush=True)
        _debootstrap(suite, packages, rootfs)
        _configure(rootfs)
        _pack(rootfs, Image(work))
        shutil.rmtree(rootfs)
        _replace(pathlib.Path(work), image.folder)
    return image


def _replace(new, folder):
    for old in folder.parent.glob("*"):
        if old != new and old.is_dir() and not old.name.startswith("build-"):
            shutil.rmtree(old)
    folder.mkdir()
    for part in new.iterdir():
        part.rename(folder / part.name)


def _guest_files():
    """Path in the machine → text."""
    return {f"/{file.relative_to(HERE / 'rootfs')}": file.read_text()
            for file in sorted((HERE / "rootfs").rglob("*")) if file.is_file()}


def _mirror(suite):
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)",
                           "Created-By: Packages"], check=True, capture_output=True, text=True)
    return choose_mirror(done.stdout.splitlines(), suite)


def _debootstrap(suite, packages, rootfs):
    log = rootfs.parent / "debootstrap.out"
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, rootfs, _mirror(suite)]
    with open(log, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise RuntimeError("debootstrap failed:\n" + "\n".join(tail))


def _configure(rootfs):
    for name, text in _guest_files().items():
        file = rootfs / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    (rootfs / "etc/initramfs-tools/modules").write_text("\n".join(_MODULES) + "\n")
    inside = ["chroot", rootfs]
    subprocess.run([*inside, "passwd", "--quiet", "--delete", "root"], check=True)
    subprocess.run([*inside, "systemctl", "--quiet", "mask", *_MASKED], check=True)
    subprocess.run([*inside, "systemctl", "--quiet", "disable", *_DISABLED], check=True)
    subprocess.run([*inside, "systemctl", "--quiet", "enable", "testvm.service"], check=True)
    with _proc(rootfs):
        subprocess.run([*inside, "update-initramfs", "-u", "-k", "all"], check=True, stdout=subprocess.DEVNULL)
    for junk in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(rootfs / junk, ignore_errors=True)


@contextlib.contextmanager
def _proc(rootfs):
    subprocess.run(["mount", "-t", "proc", "proc", rootfs / "proc"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", rootfs / "proc"], check=True)


def _pack(rootfs, image):
    for pattern, target in (("vmlinuz-*", image.kernel), ("initrd.img-*", image.initrd)):
        (found,) = (rootfs / "boot").glob(pattern)
        shutil.move(found, target)
    # Quotas: the root's module is not in the initramfs. Loop images in the machine can have them.
    subprocess.run(["mkfs.ext4", "-q", "-O", "^quota", "-L", "root", "-d", rootfs, image.root, _SIZE], check=True)
