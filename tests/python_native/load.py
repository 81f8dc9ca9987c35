"""Answers of several sizes: the path says how many bytes, and behind `/pieces/` they come in pieces of unknown number."""

TEXT = bytes((number * 2654435761 >> 13) & 0xFF for number in range(400_000))


def application(environ, start_response):
    length = environ.get("CONTENT_LENGTH")
    sent = environ["wsgi.input"].read(int(length)) if length else b""
    *manner, size = environ["PATH_INFO"].strip("/").split("/")
    body = TEXT[: int(size)] + sent
    if manner == ["pieces"]:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return [body[start : start + 7001] for start in range(0, len(body), 7001)]
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]
