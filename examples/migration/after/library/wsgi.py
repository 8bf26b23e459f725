import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "library.settings")
os.environ.setdefault("LIBRARY_NAME", "The library")  # the views read it

application = get_wsgi_application()
