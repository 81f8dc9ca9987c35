"""What the front asks: FastAPI, httpx, PostgreSQL and redis."""

import os

import httpx
import psycopg
import redis.asyncio
from fastapi import FastAPI, HTTPException, Request

app = FastAPI()
cache = redis.asyncio.Redis(port=int(os.environ["REDIS"]))


@app.get("/items/{item}")
async def items(item: str, request: Request):
    left = await cache.get(f"left:{item}")
    if left is None:
        async with await psycopg.AsyncConnection.connect(os.environ["POSTGRES"]) as database:
            found = await database.execute("SELECT pieces FROM items WHERE name = %s", (item,))
            row = await found.fetchone()
        if row is None:
            raise HTTPException(404)
        left = row[0]
        await cache.set(f"left:{item}", left)
    async with httpx.AsyncClient() as client:
        price = await client.get(f"{request.base_url}prices/{item}")
    return {"item": item, "left": int(left), **price.raise_for_status().json()}


@app.get("/prices/{item}")
def prices(item: str):
    table = "prices" if item != "cursed" else "nowhere"
    with psycopg.connect(os.environ["POSTGRES"]) as database, database.cursor() as cursor:
        cursor.execute(f"SELECT price FROM {table} WHERE name = '{item}'")
        return {"price": cursor.fetchone()[0]}
