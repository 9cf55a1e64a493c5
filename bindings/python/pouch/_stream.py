"""Streams: iterate, write, finish; context managers; asyncio through the stream's file descriptor."""

import asyncio
import json
from typing import Iterator, NamedTuple, Optional

STDIN, STDOUT, STDERR, DATA, MESSAGE = range(5)


class Frame(NamedTuple):
    """One piece of a stream: bytes of a channel, or one JSON document on MESSAGE."""

    channel: int
    data: bytes
    dropped: int = 0

    @property
    def message(self) -> dict:
        return json.loads(self.data)


def _milliseconds(timeout: Optional[float]) -> int:
    return -1 if timeout is None else max(0, int(timeout * 1000))


class Stream:
    """A running operation. One thread reads, one may write; `cancel` is for any."""

    def __init__(self, native):
        self._native = native

    def next(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """The next frame, None at the end; TimeoutError when none came within `timeout` seconds."""
        got = self._native.next(_milliseconds(timeout))
        if got is None:
            return None
        if got is False:
            raise TimeoutError(f"no frame within {timeout} s")
        channel, flags, data = got
        return Frame(channel, data, flags)

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.next()) is not None:
            yield frame

    def messages(self) -> Iterator[dict]:
        """The documents of a stream of messages."""
        for frame in self:
            if frame.channel == MESSAGE:
                yield frame.message

    def read(self) -> bytes:
        """All bytes of all channels to the end."""
        return b"".join(frame.data for frame in self)

    def split(self) -> tuple:
        """(stdout, stderr) to the end."""
        out = {STDOUT: [], STDERR: []}
        for frame in self:
            out.setdefault(frame.channel, []).append(frame.data)
        return b"".join(out[STDOUT]), b"".join(out[STDERR])

    def write(self, data: bytes, timeout: Optional[float] = None) -> int:
        """Writes all of `data` (fewer bytes only when `timeout` passed); returns how many."""
        return self._native.write(bytes(data), _milliseconds(timeout))

    def write_from(self, file, size: int = 1 << 20) -> None:
        """Copies a binary file to the stream and ends the input."""
        while chunk := file.read(size):
            self.write(chunk)
        self.close_write()

    def close_write(self) -> None:
        """No more input; output goes on."""
        self._native.close_write()

    def resize(self, rows: int, cols: int) -> None:
        """Tells the process's terminal its size; Conflict when it has none."""
        self._native.resize(rows, cols)

    def fileno(self) -> int:
        """Readable exactly when next() would not wait: for select, epoll and asyncio."""
        return self._native.pollfd()

    def finish(self) -> Optional[dict]:
        """Waits for the end, drops what is unread; the operation's result."""
        text = self._native.finish()
        return json.loads(text) if text else None

    def cancel(self) -> None:
        self._native.cancel()

    def close(self) -> None:
        """Ends the operation and frees the stream."""
        self._native.cancel()
        self._native.free()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    async def anext(self) -> Optional[Frame]:
        """next() inside a running event loop, without a thread."""
        loop = asyncio.get_running_loop()
        while (got := self._native.next(0)) is False:
            ready = loop.create_future()
            fd = self.fileno()
            loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
            try:
                await ready
            finally:
                loop.remove_reader(fd)
        return None if got is None else Frame(got[0], got[2], got[1])

    async def __aiter__(self):
        while (frame := await self.anext()) is not None:
            yield frame
