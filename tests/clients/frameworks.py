"""examples/python in Flask, Django and FastAPI: URL of the service, URL of nothing."""

import asyncio
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "python"))

from tollgate_limit import Tollgate, django_refusal, fastapi_refusal, flask_refusal

limits = Tollgate(sys.argv[1], timeout_s=60)
FIVE = [200] * 5 + [429] * 2


def flask():
    import flask

    app = flask.Flask(__name__)

    @app.get("/<user>")
    @limits.limited("per-user", key=lambda user: user, refuse=flask_refusal)
    def view(user):
        return f"hello {user}"

    client = app.test_client()
    answers = [client.get("/in-flask") for _ in range(7)]
    assert [answer.status_code for answer in answers] == FIVE
    assert answers[0].text == "hello in-flask"
    assert int(answers[-1].headers["Retry-After"]) > 0


def django():
    from django.conf import settings

    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False, SECRET_KEY="tests")
    import django
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path

    django.setup()

    @limits.limited("per-user", key=lambda request: {"user": request.GET["user"]}, refuse=django_refusal)
    def view(request):
        return HttpResponse("hello")

    globals()["urlpatterns"] = [path("", view)]
    answers = [Client().get("/?user=in-django") for _ in range(7)]
    assert [answer.status_code for answer in answers] == FIVE
    assert int(answers[-1].headers["Retry-After"]) > 0


def fastapi():
    from fastapi import FastAPI, Request

    app = FastAPI()

    @app.get("/at-once")
    @limits.limited("per-user", key=lambda request: request.query_params["user"], refuse=fastapi_refusal)
    async def at_once(request: Request):
        return "hello"

    @app.get("/in-a-thread")
    @limits.limited("per-user", key=lambda request: request.query_params["user"], refuse=fastapi_refusal)
    def in_a_thread(request: Request):
        return "hello"

    for path in ("/at-once", "/in-a-thread"):
        statuses = [asyncio.run(asgi(app, path, f"user=in-fastapi{path[1:]}")) for _ in range(7)]
        assert statuses == FIVE, statuses


async def asgi(app, path, query):
    """The status that the app answers a GET with."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "headers": [],
             "client": ("192.0.2.1", 1), "server": ("localhost", 80)}
    await app(scope, receive, send)
    return sent[0]["status"]


def away():
    for on_error, passes in (("open", True), ("closed", False)):
        decision = Tollgate(sys.argv[2], on_error=on_error).check("per-user", "ann")
        assert (decision.allowed, decision.status) == (passes, 200 if passes else 503)


def wrong():
    try:
        limits.check("nobody", "ann")
        raise AssertionError("there is no such limit")
    except ValueError as error:
        assert "422" in str(error), error


for part in (flask, django, fastapi, away, wrong):
    part()
print("fine")
