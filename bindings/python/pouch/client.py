"""The client as docker-py's users expect it: client.containers.run("busybox", ["echo", "hi"])."""

import json
from typing import Any, Iterator, List, Optional, Sequence, Union

from ._base import Cancel, Connection
from ._errors import PouchError
from ._operations_gen import (ContainerOperations, ExecOperations, ImageOperations, NetworkOperations, SystemOperations,
                              VolumeOperations)
from ._stream import STDERR, STDOUT, Stream


class ContainerError(PouchError):
    """A container that was run ended with another exit code than 0."""

    code = "ContainerFailed"

    def __init__(self, container: str, exit_code: int, stderr: bytes):
        super().__init__(f"container {container[:12]} exited with {exit_code}: {stderr.decode(errors='replace').strip()}")
        self.exit_code = exit_code
        self.stderr = stderr


class Container:
    """One container, by id; nothing is cached but the last reload()."""

    def __init__(self, client: "Client", id: str):  # pylint: disable=redefined-builtin
        self._client = client
        self.id = id
        self.attrs: dict = {}

    def reload(self) -> "Container":
        self.attrs = self._client.containers.inspect(self.id)
        return self

    @property
    def name(self) -> str:
        return (self.attrs or self.reload().attrs)["Name"].lstrip("/")

    @property
    def status(self) -> str:
        return self.reload().attrs["State"]["Status"]

    def start(self) -> None:
        self._client.containers.start(self.id)

    def stop(self, timeout: Optional[int] = None) -> None:
        """`timeout`: seconds between the stop signal and SIGKILL."""
        self._client.containers.stop(self.id, t=timeout)

    def kill(self, signal: Optional[str] = None) -> None:
        self._client.containers.kill(self.id, signal=signal)

    def rename(self, name: str) -> None:
        self._client.containers.rename(self.id, name=name)

    def remove(self, force: bool = False) -> None:
        self._client.containers.remove(self.id, force=force)

    def wait(self, condition: Optional[str] = None) -> int:
        """The exit code."""
        with self._client.containers.wait(self.id, condition=condition) as stream:
            return next(stream.messages())["StatusCode"]

    def logs(self, stdout: bool = True, stderr: bool = True, **options: Any) -> bytes:
        with self._client.containers.logs(self.id, stdout=stdout, stderr=stderr, **options) as stream:
            return stream.read()

    def follow(self, **options: Any) -> Stream:
        """The log as a stream that goes on while the container runs."""
        return self._client.containers.logs(self.id, stdout=True, stderr=True, follow=True, **options)

    def attach(self, stdin: bool = False, stdout: bool = True, stderr: bool = True, **options: Any) -> Stream:
        """What the first process prints from now on, and with `stdin` its input. Options are `logs` and
        `detach_keys`; after those were sent to a terminal, finish() gives {"Detached": True}."""
        return self._client.containers.attach(self.id, stream=True, stdin=stdin, stdout=stdout, stderr=stderr, **options)

    def resize(self, height: int, width: int) -> None:
        """Tells the container's terminal its size, in characters."""
        self._client.containers.resize(self.id, h=height, w=width)

    def exec_open(self, cmd: Sequence[str], stdin: bool = True, tty: bool = False, size: Optional[tuple] = None,
                  **config: Any) -> Stream:
        """Starts a further process and attaches to it. With `tty` it gets a terminal, of `size` (rows, columns) at
        first; the stream's resize() changes it."""
        made = self._client.execs.create(self.id, {
            "Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True, "AttachStdin": stdin, "Tty": tty, **config})
        start: dict = {"Tty": tty}
        if size is not None:
            start["ConsoleSize"] = list(size)
        return self._client.execs.start(made["Id"], start)

    def exec_run(self, cmd: Sequence[str], input: Optional[bytes] = None,  # pylint: disable=redefined-builtin
                 tty: bool = False, **config: Any) -> "ExecResult":
        """Runs a further process in the container to its end."""
        with self.exec_open(cmd, stdin=input is not None, tty=tty, **config) as stream:
            if input is not None:
                stream.write(input)
                stream.close_write()
            stdout, stderr = stream.split()
            result = stream.finish() or {}
        return ExecResult(result.get("ExitCode"), stdout, stderr)

    def __repr__(self) -> str:
        return f"<Container {self.id[:12]}>"


class ExecResult:
    """How a further process ended."""

    def __init__(self, exit_code: Optional[int], stdout: bytes, stderr: bytes):
        self.exit_code, self.stdout, self.stderr = exit_code, stdout, stderr

    @property
    def output(self) -> bytes:
        return self.stdout + self.stderr


class Containers(ContainerOperations):
    """container.*, as generated, and what makes them pleasant."""

    def __init__(self, client: "Client"):
        super().__init__(client)
        self._client = client

    def get(self, id: str) -> Container:  # pylint: disable=redefined-builtin
        found = self.inspect(id)
        container = Container(self._client, found["Id"])
        container.attrs = found
        return container

    def run(self, image: str, command: Optional[Union[str, List[str]]] = None, *, name: Optional[str] = None,
            detach: bool = False, remove: bool = False, network: Optional[str] = None, stdin: Optional[bytes] = None,
            host_config: Optional[dict] = None, timeout: Optional[float] = None, cancel: Optional[Cancel] = None,
            **config: Any) -> Union[bytes, Container]:
        """Runs a container. In the foreground: its output, or ContainerError for another exit code than 0;
        with detach=True the Container. `command`: a list, or a string for `sh -c`. Further keywords are fields of
        the configuration (Env=["A=b"], WorkingDir="/"); those of HostConfig go to `host_config`."""
        host = dict(host_config or {})
        if network is not None:
            host["NetworkMode"] = network
        if remove:
            host["AutoRemove"] = True
        document = {"Image": image, "HostConfig": host, **config}
        if command is not None:
            document["Cmd"] = ["sh", "-c", command] if isinstance(command, str) else list(command)
        if stdin is not None:
            document.update(OpenStdin=True, StdinOnce=True)
        options = {"name": name} if name else {}
        made, stream = self._client.run(document, options, not detach, timeout, cancel)
        if stream is None:
            return Container(self._client, made["Id"])
        with stream:
            if stdin is not None:
                stream.write(stdin)
                stream.close_write()
            stdout, stderr = stream.split()
            exit_code = stream.finish().get("StatusCode", 0)  # absent when `stdin` had the detach keys
        if exit_code != 0:
            raise ContainerError(made["Id"], exit_code, stderr)
        return stdout


class Images(ImageOperations):
    """image.*, as generated, and loading from files."""

    def load_file(self, path: str) -> List[str]:
        """Loads an archive (docker save, OCI layout); the references it held."""
        with self.load() as stream, open(path, "rb") as file:
            stream.write_from(file)
            return stream.finish()["References"]

    def pull_image(self, image: str, auth: Optional[dict] = None, on_progress: Any = None, **options: Any) -> dict:
        """Gets an image from a registry (without tag and digest: latest); its document (Id, Digest, Reference, IsNew).

        `auth` is {"username": …, "password": …}; without it the engine's host uses what `docker login` stored there.
        `on_progress` is called with each message."""
        with self.pull(from_image=image, auth=auth, **options) as stream:
            for message in stream.messages():
                if on_progress is not None:
                    on_progress(message)
            return stream.finish()["Images"][0]

    def from_tar(self, path: str, reference: str, **options: Any) -> str:
        """Makes an image of one layer from a tar of a root file system; its id."""
        with self.from_rootfs(reference=reference, **options) as stream, open(path, "rb") as file:
            stream.write_from(file)
            return stream.finish()["Id"]


class Client(Connection):
    """An engine: embed:// in this process, unix:// or tcp:// a daemon, mock:// for tests; None as pouch.h says.

    For test suites: `with pouch.Client(session=True) as client:` leaves nothing, even when the process is killed."""

    def __init__(self, uri: Optional[str] = None, log_level: Optional[str] = None, session: bool = False):
        super().__init__(uri, log_level, session)
        self.containers = Containers(self)
        self.images = Images(self)
        self.execs = ExecOperations(self)
        self.networks = NetworkOperations(self)
        self.system = SystemOperations(self)
        self.volumes = VolumeOperations(self)

    def events(self, **options: Any) -> Iterator[dict]:
        """What happens, as documents, for ever (or until `until`)."""
        with self.system.events(**options) as stream:
            yield from stream.messages()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exc) -> None:
        self.close()


def describe(value: Any) -> str:
    """A document as indented JSON, for people."""
    return json.dumps(value, indent=2, sort_keys=True)


__all__ = ["Client", "Container", "ContainerError", "ExecResult", "STDOUT", "STDERR", "describe"]
