"""What programs do that instrument themselves. `HOW` says how; prints what its hooks were told."""

import os
import sys

how = os.environ["HOW"]

if how == "flask":
    from flask import Flask
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    app = Flask(__name__)
    FlaskInstrumentor().instrument_app(app, request_hook=lambda span, environ: print("asked", environ["PATH_INFO"]))
    app.route("/")(lambda: "hello")
    for _ in range(2):
        app.test_client().get("/")
elif how == "fastapi":
    import asyncio

    import httpx
    from fastapi import FastAPI
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from starlette.middleware.gzip import GZipMiddleware

    app = FastAPI()
    FastAPIInstrumentor.instrument_app(app, server_request_hook=lambda span, scope: print("asked", scope["path"]))
    # Only an application that does not run yet takes one.
    app.add_middleware(GZipMiddleware)
    app.get("/")(lambda: {})

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            for _ in range(2):
                await client.get("/")

    asyncio.run(ask())
elif how == "sqlite3":
    import sqlite3

    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    if "again" in sys.argv:
        SQLite3Instrumentor().uninstrument()
    SQLite3Instrumentor().instrument()
    sqlite3.connect(":memory:").cursor().execute("SELECT 1")
    print(SQLite3Instrumentor().is_instrumented_by_opentelemetry)
