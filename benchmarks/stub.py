"""A remediator that does nothing, at once, in a process of its own: `python -m benchmarks.stub`.

Prints its port; then a line with the target and the monotonic time of each call.
"""

import asyncio
import json
import sys
import time

_ANSWER = json.dumps({"status": "success"}).encode()
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_ANSWER)}\r\n".encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await _head(reader):
        came = time.monotonic()
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
        body = json.loads(await reader.readexactly(int(fields["Content-Length"])))
        print(body["target"], came, flush=True)
        closing = fields.get("Connection", "").lower() == "close"
        writer.write(_HEAD + (b"Connection: close\r\n" if closing else b"") + b"\r\n" + _ANSWER)
        await writer.drain()
        if closing:
            break
    writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
