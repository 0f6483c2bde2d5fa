"""A space of Segment's on this machine: the Profile API as its page describes it, and its troubles."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp import web

from connectors.profiles.settings import SegmentSettings

SPACE, TOKEN = "kNU0gh7EVl", "token-of-the-space"
NOT_FOUND = {"error": {"code": "not_found", "message": "Profile was not found."}}

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Space:
    """Profiles by `type:value` in lower case; `behaviours` of single people come before `behaviour` of all."""

    def __init__(self, profiles: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.profiles = dict(profiles or {})
        self.behaviour: Behaviour | None = None
        self.behaviours: dict[str, Behaviour] = {}
        self.page = 200
        self.asked: Counter[str] = Counter()
        self.queries: list[str] = []
        self.at_once = 0
        self._now = 0

    async def __aenter__(self) -> Space:
        app = web.Application()
        app.router.add_get("/v1/spaces/{space}/collections/users/profiles/{person}/traits", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    def settings(self, **more: Any) -> SegmentSettings:
        given: dict[str, Any] = {
            "space": SPACE,
            "token": TOKEN,
            "traits": ("timezone", "first_name"),
            "base_url": self.url,
            "requests_per_s": 10_000.0,
        }
        return SegmentSettings(**{**given, **more})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        person = request.match_info["person"]
        self.asked[person] += 1
        self.queries.append(request.rel_url.raw_query_string)
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        try:
            behaviour = self.behaviours.get(person, self.behaviour)
            return await (behaviour or self._answer)(request)
        finally:
            self._now -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != aiohttp.encode_basic_auth(TOKEN, ""):
            return web.json_response({"error": {"code": "authentication_error"}}, status=401)
        if "+" in request.raw_path:  # "may respond with 500" to what should have been %2B
            return web.json_response({"error": {"code": "internal"}}, status=500)
        profile = self.profiles.get(request.match_info["person"])
        if request.match_info["space"] != SPACE or profile is None:
            return web.json_response(NOT_FOUND, status=404)
        included = request.query["include"].split(",") if "include" in request.query else list(profile)
        wanted = [name for name in profile if name in included]
        size = min(int(request.query.get("limit", "10")), self.page)
        first = wanted.index(request.query["next"]) if "next" in request.query else 0
        after = wanted[first + size : first + size + 1]
        return web.json_response(
            {
                "traits": {name: profile[name] for name in wanted[first : first + size]},
                "cursor": {"url": str(request.rel_url), "has_more": bool(after), "next": "".join(after), "limit": size},
            }
        )


def answering(status: int, body: bytes = b"{}", **headers: str) -> Behaviour:
    async def behave(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named, content_type="application/json")

    return behave


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def cut(request: web.Request) -> web.Response:
    """The connection breaks before any answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_within(request: web.Request) -> web.StreamResponse:
    """The connection breaks within the answer."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"traits": {"timezone": "Europe/')
    assert request.transport is not None
    request.transport.close()
    return answer


def after(wait_s: float, then: Behaviour) -> Behaviour:
    async def behave(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(wait_s)
        return await then(request)

    return behave
