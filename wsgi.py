"""The console as a WSGI application: `gunicorn wsgi:app`."""

from __future__ import annotations

import config
from webapp.app import create_app

app = create_app(config.from_environment())
