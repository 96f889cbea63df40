"""A wire between a client and a server of this machine, which can be long, and be cut.

``python -m scripts.wire PORT SECONDS`` is one in a process of its own, which says its port first.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from typing import Any

_SIZE = 1 << 16


class Wire:
    """Passes on what arrives at ``port``; ends with ``with``.

    Args:
        server_port: where the server listens.
        delay: seconds that every byte takes, each way.
    """

    def __init__(self, server_port: int, delay: float = 0.0) -> None:
        self.port = 0
        self._server_port = server_port
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._held = False
        self._connecting: set[asyncio.Future[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.mend()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Ends every connection in the middle of what it does, and refuses new ones."""
        self._do(self._cut())

    def hold(self) -> None:
        """Takes what arrives, and passes nothing on: a server that has died without a word."""
        self._held = True

    def mend(self) -> None:
        """Lets connections through (again)."""
        self._held = False
        if self._listener is None or not self._listener.is_serving():
            self._do(self._listen())

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # At once: a cut may come before the task has begun, and would not know of this end.
        self._writers.add(writer)
        task = asyncio.ensure_future(self._connect(reader, writer))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(up_writer)
        try:
            await asyncio.gather(self._pass(reader, up_writer), self._pass(up_reader, writer))
        except OSError:
            pass  # one side has gone; the other goes too
        finally:
            for each in (writer, up_writer):
                self._writers.discard(each)
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def receive() -> None:
            while True:
                data = await reader.read(_SIZE)
                arrived.put_nowait((self._loop.time() + self._delay, data))
                if not data:
                    return

        receiving = asyncio.ensure_future(receive())
        try:
            while True:
                due, data = await arrived.get()
                if due > self._loop.time():
                    await asyncio.sleep(due - self._loop.time())
                while self._held:
                    await asyncio.sleep(0.05)
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        finally:
            receiving.cancel()


if __name__ == "__main__":
    with Wire(int(sys.argv[1]), float(sys.argv[2])) as wire:
        print(wire.port, flush=True)
        sys.stdin.read()
