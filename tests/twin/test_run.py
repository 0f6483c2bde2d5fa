from __future__ import annotations

import asyncio
import signal
import sys

import aiohttp

from tests.twin.rig import Reply
from twin.settings import DEMO_ACCOUNT, DEMO_TOKEN

SERVE = """
from twin.run import serve
from twin.settings import TwinSettings
serve(TwinSettings.demo(), port=0, ready=lambda url: print(url, flush=True))
"""


async def test_a_twin_process_serves_until_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        url = ""
        while not url.startswith("http"):
            url = (await process.stdout.readline()).decode().strip()
        form = {"To": "+15558675310", "From": "+15005551001", "Body": "Hi"}
        headers = {"Authorization": aiohttp.encode_basic_auth(DEMO_ACCOUNT, DEMO_TOKEN)}
        async with aiohttp.ClientSession(headers=headers) as session:
            path = f"{url}/2010-04-01/Accounts/{DEMO_ACCOUNT}/Messages.json"
            async with session.post(path, data=form) as response:
                answer = Reply(response.status, dict(response.headers), b"", await response.json())
            async with session.post(f"{url}/__twin__/settle") as response:
                settled = await response.json()
        assert (answer.status, settled["final"]) == (201, 1)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
