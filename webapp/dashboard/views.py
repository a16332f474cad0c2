"""The home page."""

from __future__ import annotations

from werkzeug.wrappers import Response

from webapp.web.views import RoomView, expose, has_access, permission_name


class HomeView(RoomView):
    """What to do next, what runs, what needs attention."""

    route_base = ""
    class_permission_name = "Home"
    default_view = "index"

    @expose("/")
    @has_access
    @permission_name("read")
    def index(self) -> Response:
        """Show the home page."""
        return self.page("dashboard/home.html")


VIEWS = (HomeView,)
