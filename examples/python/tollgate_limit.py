"""Limits from a Tollgate decision service in Flask, Django and FastAPI. One file, nothing but the standard library.

    limits = Tollgate("http://127.0.0.1:8090")

    @app.get("/report")                                             # Flask
    @limits.limited("per-address", key=lambda: request.remote_addr, refuse=flask_refusal)
    def report(): ...

    @limits.limited("per-user", key=lambda request: request.user.username, refuse=django_refusal)
    def report(request): ...                                        # Django

    @app.get("/report")                                             # FastAPI, `def` or `async def`
    @limits.limited("per-address", key=lambda request: request.client.host, refuse=fastapi_refusal)
    async def report(request: Request): ...

`key` and `cost` are called with the arguments of the view. While the service cannot be reached a view runs unlimited
(`on_error="open"`, as written here), or is refused with 503 (`on_error="closed"`).
"""

import asyncio
import functools
import http.client
import inspect
import json
import threading
import urllib.parse

__all__ = ["Decision", "Tollgate", "django_refusal", "fastapi_refusal", "flask_refusal"]


class Decision:
    """What the service said: `allowed`, `status`, `headers` to hand on, and all of it in `told`."""

    def __init__(self, status, headers, told):
        self.allowed = bool(told.get("allowed"))
        self.status, self.headers, self.told = status, headers, told


class Tollgate:
    """A decision service. Each thread keeps a connection of its own."""

    def __init__(self, url, token=None, on_error="open", timeout_s=0.5):
        if on_error not in ("open", "closed"):
            raise ValueError("on_error is 'open' or 'closed'")
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connect = functools.partial(connection, parts.hostname, parts.port, timeout=timeout_s)
        self._fields = {"Content-Type": "application/json"}
        if token is not None:
            self._fields["Authorization"] = f"Bearer {token}"
        self._on_error = on_error
        self._local = threading.local()

    def check(self, limit, key, cost=1):
        """Charges `cost` units of `limit` to `key`: a word, a list of words, or a dictionary of the key's parts."""
        body = json.dumps({"limit": limit, "key": key, "cost": cost})
        try:
            status, headers, answer = self._ask("/v1/check", body)
        except (OSError, http.client.HTTPException):
            return self._away()
        if status not in (200, 429, 503):
            # The request itself is wrong: a limit that there is not, say. That is for whoever wrote it.
            raise ValueError(f"the decision service answers {status}: {answer.decode(errors='replace')}")
        if status == 503:
            return self._away()
        shown = ("ratelimit", "ratelimit-policy", "retry-after")
        fields = {name: value for name, value in headers if name.lower() in shown}
        return Decision(status, fields, json.loads(answer))

    def limited(self, limit, key, cost=1, refuse=None):
        """Limits a view. `refuse(decision)` makes the response to a request that may not pass."""

        def ask(arguments, named):
            units = cost(*arguments, **named) if callable(cost) else cost
            return self.check(limit, key(*arguments, **named), units)

        def limit_view(view):
            if inspect.iscoroutinefunction(view):

                @functools.wraps(view)
                async def limited_view(*arguments, **named):
                    decision = await asyncio.to_thread(ask, arguments, named)
                    return await view(*arguments, **named) if decision.allowed else refuse(decision)
            else:

                @functools.wraps(view)
                def limited_view(*arguments, **named):
                    decision = ask(arguments, named)
                    return view(*arguments, **named) if decision.allowed else refuse(decision)

            return limited_view

        return limit_view

    def _away(self):
        told = {"allowed": self._on_error == "open", "reason": "service-away"}
        return Decision(200 if told["allowed"] else 503, {}, told)

    def _ask(self, path, body):
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._over(kept, path, body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # It was closed while nobody used it, and no answer has come: this request was not decided.
                self._drop()
            except (OSError, http.client.HTTPException):
                self._drop()
                raise
        self._local.connection = self._connect()
        try:
            return self._over(self._local.connection, path, body)
        except (OSError, http.client.HTTPException):
            self._drop()
            raise

    def _over(self, connection, path, body):
        connection.request("POST", path, body=body, headers=self._fields)
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()

    def _drop(self):
        self._local.connection.close()
        self._local.connection = None


def flask_refusal(decision):
    """For Flask: a tuple that it makes a response of."""
    return {"error": "too many requests"}, decision.status, decision.headers


def django_refusal(decision):
    """For Django."""
    from django.http import JsonResponse

    return JsonResponse({"error": "too many requests"}, status=decision.status, headers=decision.headers)


def fastapi_refusal(decision):
    """For FastAPI and Starlette."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error": "too many requests"}, status_code=decision.status, headers=decision.headers)
