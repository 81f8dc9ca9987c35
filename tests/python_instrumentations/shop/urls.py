from django.db import connection
from django.http import HttpResponse
from django.urls import path


def user(request, name):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse(name)


def fails(request):
    raise ValueError("on purpose")


urlpatterns = [path("users/<str:name>", user), path("fails", fails)]
