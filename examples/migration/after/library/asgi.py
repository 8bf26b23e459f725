import os

from bridge.contrib.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "library.settings")
os.environ.setdefault("LIBRARY_NAME", "The library")  # the views read it

application = get_asgi_application(threads=4)
