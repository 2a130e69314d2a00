"""The number API in FastAPI: the calls of Tollgate's own demo upstream, so that either can stand behind the gateway."""

import random
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

# Swagger UI from this repository, so that /docs works without a network and asks nobody else.
SWAGGER_UI = Path(__file__).resolve().parents[3] / "web" / "vendor" / "swagger-ui"


class Random(BaseModel):
    random: int


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


UNPROCESSABLE = {
    "description": "`min` or `max` is not an integer, or `min` is above `max`.",
    "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
}

app = FastAPI(
    title="Number API",
    version="1.0.0",
    description="Answers each GET with a random number. It knows nothing of accounts or limits: those are the gateway's.",
    # The built-in pages load their scripts from a public network.
    docs_url=None,
    redoc_url=None,
)
app.mount("/swagger-ui", StaticFiles(directory=SWAGGER_UI))


def unprocessable(detail: str) -> JSONResponse:
    problem = Problem(type="about:blank", title="Unprocessable Content", status=422, detail=detail)
    return JSONResponse(problem.model_dump(), 422, media_type="application/problem+json")


@app.exception_handler(RequestValidationError)
def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return unprocessable(f"{first['loc'][-1]}: {first['msg']}")


@app.get("/random", summary="A random number", response_model=Random, responses={422: UNPROCESSABLE})
def draw(min: int = 0, max: int = 1_000_000) -> Random | JSONResponse:
    """Uniform over `min` to `max`, both included."""
    if min > max:
        return unprocessable(f"min {min} is above max {max}")
    return Random(random=random.randint(min, max))


@app.get("/livez", summary="Is it up?")
def livez() -> PlainTextResponse:
    return PlainTextResponse("ok")


@app.get("/docs", include_in_schema=False)
def docs() -> HTMLResponse:
    return get_swagger_ui_html(
        title="Number API",
        openapi_url="/openapi.json",
        swagger_js_url="/swagger-ui/swagger-ui-bundle.js",
        swagger_css_url="/swagger-ui/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
    )
