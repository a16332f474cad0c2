"""The console as a WSGI application: `gunicorn wsgi:app`."""

from __future__ import annotations

import config
from webapp import tracing
from webapp.app import create_app

settings = config.from_environment()
tracing.begin(settings, "web")
app = create_app(settings)
