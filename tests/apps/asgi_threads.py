"""An ASGI app that starts threads in each way that apps do, behind ``bridge.to_wsgi``."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

import bridge

PROGRAM = (sys.executable, "-c", "print('from a child')")

own = ThreadPoolExecutor(2)


def work() -> str:
    time.sleep(0.005)
    return "worked"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(work)
    yield
    await asyncio.to_thread(work)
    print("shut down", flush=True)


app = FastAPI(lifespan=lifespan)
app.mount("/static", StaticFiles(directory=Path(__file__).parent))


@app.get("/")
async def plain() -> str:
    await asyncio.sleep(0)
    return "worked"


@app.get("/def")
def in_a_thread() -> str:
    return work()


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(__file__)


@app.get("/executor")
async def executor() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, work)


@app.get("/own-executor")
async def own_executor() -> str:
    return await asyncio.wrap_future(own.submit(work))


@app.get("/to-thread")
async def to_thread() -> str:
    return await asyncio.to_thread(work)


@app.get("/thread")
async def thread() -> str:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    started = threading.Thread(target=lambda: loop.call_soon_threadsafe(ended.set))
    started.start()
    await ended.wait()
    started.join()
    return "worked"


@app.get("/sync-helpers")
async def sync_helpers() -> str:
    def call() -> str:
        bridge.async_to_sync(asyncio.sleep)(0)
        return work()

    await bridge.sync_to_async(call)()
    return await bridge.sync_to_async(call, thread_sensitive=False)()


@app.get("/child")
async def child() -> str:
    process = await asyncio.create_subprocess_exec(*PROGRAM, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


@app.get("/child-in-a-thread")
def child_in_a_thread() -> str:
    return subprocess.run(PROGRAM, capture_output=True, text=True, check=True).stdout


@app.get("/resolve")
async def resolve() -> str:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    return "worked"


wsgi_app = bridge.to_wsgi(app)
