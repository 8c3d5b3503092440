"""The limits of single readings: views that do nothing, or one INSERT, served exactly as Vigil is.

`BARE_DATABASE_URL` says where `/insert` writes.
"""

import json
import os
import threading
from typing import Any

import django
import psycopg
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["rest_framework"],
        MIDDLEWARE=[],
        SECRET_KEY="bare" * 13,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
    )
    django.setup()

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

TABLE = "CREATE TABLE bare (id bigserial PRIMARY KEY, name text, value double precision, at timestamptz DEFAULT now())"
_own = threading.local()


class Nothing(APIView):
    """Django REST framework, doing nothing."""

    def post(self, request: Request) -> Response:
        """Nothing but taking the body."""
        _ = request._request.body
        return Response({"ok": True}, status=201)


def nothing(request: HttpRequest) -> HttpResponse:
    """Django, doing nothing but taking the body."""
    _ = request.body
    return HttpResponse(b'{"ok":true}', content_type="application/json", status=201)


def insert(request: HttpRequest) -> HttpResponse:
    """One INSERT and one commit for each request, over the thread's own connection."""
    reading = json.loads(request.body)
    if not hasattr(_own, "connection"):
        _own.connection = psycopg.connect(os.environ["BARE_DATABASE_URL"], autocommit=True)
    _own.connection.execute("INSERT INTO bare (name, value) VALUES (%s, %s)", [reading["name"], reading["value"]])
    return nothing(request)


urlpatterns = [path("rest", Nothing.as_view()), path("plain", nothing), path("insert", insert)]
application: Any = get_wsgi_application()
