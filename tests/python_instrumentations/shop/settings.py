"""As little as Django needs."""

ALLOWED_HOSTS = ["*"]
# The server starts anew when a file has changed.
DEBUG = True
INSTALLED_APPS = []
MIDDLEWARE = ("django.middleware.common.CommonMiddleware",)
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "none"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
