import os

SECRET_KEY = os.environ.get("SECRET_KEY", "for development only")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "library.urls"
WSGI_APPLICATION = "library.wsgi.application"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "books.middleware.timing"]
USE_TZ = True
