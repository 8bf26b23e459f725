"""The Django project of the cookbook on Django's own handlers."""

import toolbar_site  # noqa: F401  # it configures Django
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

wsgi_app = get_wsgi_application()
asgi_app = get_asgi_application()
