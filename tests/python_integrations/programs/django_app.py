"""A Django application: `django_app.py runserver …`, `django_app:wsgi`, `django_app:asgi`."""

import os
import sys

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path

if not settings.configured:
    settings.configure(
        DEBUG="runserver" in sys.argv,
        SECRET_KEY="x",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )


def user(request, number):
    return JsonResponse({"number": number})


def fails(request):
    raise ValueError("no such thing")


def nowhere(request):
    raise Http404


def queries(request):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 'secret'")
        return HttpResponse(cursor.fetchone()[0])


async def waits(request):
    import asyncio

    await asyncio.sleep(0)
    return HttpResponse("waited")


def breaks(request):
    async def parts():
        yield "one"
        raise ValueError("no such thing")

    return StreamingHttpResponse(parts())


def home(request):
    return HttpResponse("home")


urlpatterns = [
    path("", home),
    path("users/<int:number>/", user),
    re_path(r"^old/(?P<number>\d+)$", user),
    path("shop/", include([path("fails", fails), path("nowhere", nowhere)])),
    path("queries", queries),
    path("waits", waits),
    path("breaks", breaks),
]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "")
    execute_from_command_line(sys.argv)
else:
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    if os.environ.get("HOW") == "asgi":
        asgi = get_asgi_application()
    else:
        wsgi = get_wsgi_application()
