"""Sentry's web API: projects of one organization, and their client keys."""

from __future__ import annotations

import itertools
from typing import Any

from aiohttp import web

NAME_LENGTH = 64


class Sentry:
    """One organization with one team; a project whose name is taken by another organization cannot be made."""

    def __init__(self, token: str, organization: str, team: str) -> None:
        self.token = token
        self.team = team
        self.projects: dict[str, dict[str, dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        organization_path = f"/api/0/organizations/{organization}/projects/"
        keys_path = f"/api/0/projects/{organization}/{{project}}/keys/"
        self.app = web.Application(middlewares=[self._authenticate])
        self.app.router.add_get(organization_path, self.list_projects)
        self.app.router.add_post(f"/api/0/teams/{organization}/{{team}}/projects/", self.make_project)
        self.app.router.add_get(keys_path, self.list_keys)
        self.app.router.add_post(keys_path, self.make_key)
        self.app.router.add_delete(keys_path + "{key}/", self.remove_key)

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"detail": "Invalid token"}, status=401)
        return await handler(request)

    async def list_projects(self, request: web.Request) -> web.Response:
        return web.json_response([{"slug": name, "id": name} for name in self.projects])

    async def make_project(self, request: web.Request) -> web.Response:
        body = await request.json()
        if request.match_info["team"] != self.team:
            return web.json_response({"detail": "The requested resource does not exist"}, status=404)
        if body["slug"] in self.projects or body["slug"] == "taken":
            return web.json_response({"detail": "A project with this slug already exists."}, status=409)
        self.projects[body["slug"]] = {}
        return web.json_response({"slug": body["slug"]}, status=201)

    async def list_keys(self, request: web.Request) -> web.Response:
        keys = self.projects.get(request.match_info["project"])
        if keys is None:
            return web.json_response({"detail": "The requested resource does not exist"}, status=404)
        return web.json_response(list(keys.values()))

    async def make_key(self, request: web.Request) -> web.Response:
        name = (await request.json())["name"]
        if len(name) > NAME_LENGTH:
            return web.json_response({"name": ["Ensure this field has no more than 64 characters."]}, status=400)
        number = f"key{next(self._numbers)}"
        made = {"id": number, "label": name, "dsn": {"public": f"https://{number}@sentry.example/1", "secret": f"https://{number}:s@sentry.example/1"}}
        self.projects[request.match_info["project"]][number] = made
        return web.json_response(made, status=201)

    async def remove_key(self, request: web.Request) -> web.Response:
        if self.projects[request.match_info["project"]].pop(request.match_info["key"], None) is None:
            return web.json_response({"detail": "The requested resource does not exist"}, status=404)
        return web.Response(status=204)
