"""The machine: qemu with emulated processors, booting Debian's kernel directly."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import disk
from guest import END
from image import REPO

# /dev/kvm is not used: nested machines hang on it, and the emulator is the same everywhere.
_QEMU = "qemu-system-x86_64"
_CONSOLE_TAIL = 60


def have_qemu():
    return shutil.which(_QEMU) is not None


def command(image, tests, console, extra=()):
    """qemu's command line. Writes to the root go to a temporary file and are lost at the end."""
    return [
        _QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config",
        "-display", "none", "-nic", "none",
        "-drive", f"file={image.root},format=raw,if=virtio,snapshot=on",
        "-drive", f"file={tests},format=raw,if=virtio,readonly=on",
        "-kernel", str(image.kernel), "-initrd", str(image.initrd),
        "-append", "root=LABEL=root rw console=ttyS0 quiet panic=5 mitigations=off systemd.show_status=0",
        "-device", "virtio-serial", "-serial", console, *extra,
    ]


def exit_code(line):
    """The code in the last line that the machine writes, None for any other line."""
    text = line.removeprefix(END).strip()
    return int(text) if line.startswith(END) and text.isdigit() else None


def run_tests(image, steps, seconds, console=None):
    """Boots, shows what the tests print, and gives their exit code; 1 when the machine says nothing of it."""
    with tempfile.TemporaryDirectory(prefix="testvm-") as folder:
        tests, log = pathlib.Path(folder) / "tests.img", pathlib.Path(console or f"{folder}/console")
        disk.make(tests, steps)
        port = ("-chardev", "stdio,id=port,signal=off", "-device", "virtserialport,chardev=port,name=testvm")
        start = time.monotonic()
        code = _run(command(image, tests, f"file:{log}", port), seconds)
        if code is None:
            print("FAIL testvm: the machine ended or was ended without a result; its console:")
            print("\n".join(log.read_text(errors="replace").splitlines()[-_CONSOLE_TAIL:]))
            return 1
        print(f"testvm: {time.monotonic() - start:.0f} s from power-on to power-off", flush=True)
        return code


def _run(arguments, seconds):
    """The tests' exit code, None without one."""
    code = None
    # stdin stays open: at its end qemu would tell the machine that nobody listens on the port.
    with subprocess.Popen(["nice", "-n", "5", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          errors="replace") as qemu:
        limit = threading.Timer(seconds, qemu.kill)
        limit.start()
        try:
            for line in qemu.stdout:
                found = exit_code(line)
                code = found if found is not None else code
                if found is None:
                    print(line, end="", flush=True)
        finally:
            limit.cancel()
            qemu.kill() if sys.exc_info()[0] else None
    return code


def shell(image):
    """The console on this terminal; Ctrl-A X ends the machine."""
    with tempfile.TemporaryDirectory(prefix="testvm-") as folder:
        tests = pathlib.Path(folder) / "tests.img"
        disk.make(tests, None)
        print(f"testvm: root's shell comes up in half a minute; {REPO} is there. Ctrl-A X ends the machine.", flush=True)
        return subprocess.run(command(image, tests, "mon:stdio"), check=False).returncode
