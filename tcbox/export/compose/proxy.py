"""The proxy before the services: a path a service, the rest to one of them."""

from __future__ import annotations

from typing import Any

from tcbox.export import configuration, yamltext
from tcbox.export.plan import Plan, digest

IMAGE = "nginxinc/nginx-unprivileged:1.29-alpine"
_PORT = 8080

_FRAME = """worker_processes auto;
pid /tmp/nginx.pid;

events {{
  worker_connections 4096;
}}

http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path /tmp/client;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;

  # names are looked up again, so that a container made anew is found
  resolver 127.0.0.11 valid=2s;

  server {{
    listen {port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Proto {scheme};
    proxy_request_buffering off;
    proxy_buffering off;
    # workers wait 20 seconds for a task, streams of events for longer
    proxy_read_timeout 75s;

    # for this host alone
    location /metrics {{ return 404; }}
    location /instance/ {{ return 404; }}

{locations}
  }}
}}
"""

_LOCATION = """    location {path} {{
      set $to http://{service}:{port};
      proxy_pass $to;
    }}"""


def written(plan: Plan) -> str:
    """The configuration of nginx."""
    found = sorted(((path, service.name) for service in plan.services for path in service.paths), key=lambda each: (each[0] == "/", each[0]))
    locations = "\n".join(_LOCATION.format(path=path if path == "/" else f"{path}/", service=service, port=configuration.PORT) for path, service in found)
    return yamltext.HEAD + _FRAME.format(port=_PORT, scheme=plan.root_url.partition(":")[0], locations=locations)


def service(plan: Plan) -> dict[str, Any]:
    """The container."""
    return {
        "image": IMAGE,
        "ports": [f"{plan.export.compose.port}:{_PORT}"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": ["/tmp:mode=1777"],  # noqa: S108 - within the container
        "volumes": ["./proxy/nginx.conf:/etc/nginx/nginx.conf:ro"],
        "labels": {"tcbox.settings-hash": digest(written(plan))},
        "restart": "unless-stopped",
        "depends_on": {service.name: {"condition": "service_started"} for service in plan.services},
    }
