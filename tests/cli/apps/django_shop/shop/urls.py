"""One page of facts."""

import os

from django.http import HttpRequest, JsonResponse
from django.urls import path


def facts(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "framework": "django",
            "pid": os.getpid(),
            "root_path": request.META["SCRIPT_NAME"],
            "path": request.path_info,
            "url": request.build_absolute_uri(),
        }
    )


urlpatterns = [path("", facts)]
