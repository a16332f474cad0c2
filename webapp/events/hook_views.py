"""The pages of inbound web hooks: what there is, one with its address, its keys and its last deliveries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.events import hook_door, hook_reading, hooks, known
from webapp.events.event_views import tabs
from webapp.events.hook_example import example
from webapp.events.hook_schemes import SCHEMES
from webapp.events.hook_tally import UNKNOWN, WORDS, refusals
from webapp.events.hooks import CURRENT, NEXT, HookRefused, Wanted
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name

_TEXTS = ("name", "type", "label", "scheme", "signature_header", "time_header")


class HookView(RoomView):
    """Inbound web hooks."""

    route_base = "/events/hooks"
    class_permission_name = "Events"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the hooks."""
        hook_door.tally().flush(now=True)
        with self.house.db.read() as tx:
            found = hooks.list_hooks(tx)
            times = hook_reading.last_times(tx, [hook.id for hook in found])
            strange = refusals(tx, UNKNOWN)
        return self.page(
            "events/hooks.html", tabs=tabs("hooks"), hooks=found, times=times, strange=strange, schemes=SCHEMES
        )

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Make a hook, and show its key once."""
        if request.method == "GET":
            return self._form(Wanted("", ""), {}, new=True)
        wanted, key = _wanted(), request.form.get("key", "")
        try:
            made = hooks.create(self.house, wanted, key, self.actor)
        except HookRefused as error:
            return self._form(wanted, {error.field: error.message}, new=True)
        flash(_("The web hook is ready."), "success")
        return self._shown_once(wanted.name, "" if key else made)

    @expose("/<name>")
    @has_access
    @permission_name("read")
    def show(self, name: str) -> Response:
        """Show a hook."""
        hook_door.tally().flush(now=True)
        hook = self._hook(name)
        with self.house.db.read() as tx:
            came, refused = hook_reading.latest(tx, hook.id), refusals(tx, hook.id)
            uses = hook_reading.last_uses(tx, hook.id)
        places = {key["id"]: place for place, key in hook.keys.items()}
        shown: dict[str, Any] = {"came": came, "refused": refused, "uses": uses, "places": places, "words": WORDS}
        shown["made"] = {place: datetime.fromisoformat(key["at"]) for place, key in hook.keys.items()}
        address = self._address(hook.name)
        shown |= {"address": address, "example": example(hook, address), "scheme": SCHEMES[hook.scheme]}
        return self.page("events/hook.html", hook=hook, limit=self.house.settings.hook_bytes, **shown)

    @expose("/<name>/edit", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    def edit(self, name: str) -> Response:
        """Change the settings of a hook."""
        hook = self._hook(name)
        if request.method == "GET":
            return self._form(hook, {})
        wanted = replace(_wanted(), name=hook.name, enabled=hook.enabled)
        try:
            hooks.update(self.house, wanted, self.actor)
        except HookRefused as error:
            return self._form(wanted, {error.field: error.message})
        flash(_("The web hook is saved."), "success")
        return _back(name)

    @expose("/<name>/<any(enable, disable):deed>", methods=["POST"])
    @has_access
    @permission_name("update")
    def turn(self, name: str, deed: str) -> Response:
        """Let a hook take deliveries, or none."""
        hooks.update(self.house, replace(self._hook(name).settings, enabled=deed == "enable"), self.actor)
        flash(_("Deliveries are taken again.") if deed == "enable" else _("Deliveries are refused."), "success")
        return _back(name)

    @expose("/<name>/delete", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def delete(self, name: str) -> Response:
        """Delete a hook with its keys."""
        return self._done(name, lambda: hooks.delete(self.house, name, self.actor), _("The web hook is deleted."), "")

    @expose("/<name>/keys/new", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    @fresh
    def add_key(self, name: str) -> Response:
        """Give a hook another key."""
        hook, key = self._hook(name), request.form.get("key", "")
        if request.method == "GET":
            return self.page("events/hook_key.html", hook=hook, scheme=SCHEMES[hook.scheme], error="")
        try:
            made = hooks.add_key(self.house, name, key, self.actor)
        except HookRefused as error:
            return self.page("events/hook_key.html", 422, hook=hook, scheme=SCHEMES[hook.scheme], error=error.message)
        flash(_("The key is in force."), "success")
        return self._shown_once(name, "" if key else made)

    @expose("/<name>/keys/switch", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def switch_key(self, name: str) -> Response:
        """Make the next key the current one."""
        said = _("The next key is the current one. The one before it is refused from now on.")
        return self._done(name, lambda: hooks.switch_key(self.house, name, self.actor), said, name)

    @expose(f"/<name>/keys/<any({CURRENT}, {NEXT}):place>/remove", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def remove_key(self, name: str, place: str) -> Response:
        """Remove a key."""
        said = _("The key is refused from now on.")
        return self._done(name, lambda: hooks.remove_key(self.house, name, place, self.actor), said, name)

    def _done(self, name: str, deed: Callable[[], None], said: str, onwards: str) -> Response:
        """Do something to a hook, say so, and go on to a hook or the list."""
        self._hook(name)
        try:
            deed()
            flash(said, "success")
        except HookRefused as error:
            flash(translated(error.message), "danger")
        return _back(onwards)

    def _hook(self, name: str) -> hooks.Hook:
        with self.house.db.read() as tx:
            found = hooks.find(tx, name)
        return found or abort(404)

    def _address(self, name: str) -> str:
        return f"{self.house.settings.console_url.rstrip('/')}{hook_door.ROOT}/{name}"

    def _shown_once(self, name: str, key: str) -> Response:
        """Show a key that was made here; one that was entered is known."""
        if not key:
            return _back(name)
        return self.page("events/hook_key_once.html", 201, name=name, key=key)

    def _form(self, wanted: Wanted, errors: dict[str, Any], *, new: bool = False) -> Response:
        schemes = [(scheme.name, scheme.label) for scheme in SCHEMES.values()]
        shown: dict[str, Any] = {"schemes": schemes, "about": SCHEMES.values(), "address": self._address("")}
        shown |= {"types": known.choices(self.house)["types"], "wanted": asdict(wanted), "errors": errors, "new": new}
        return self.page("events/hook_form.html", 422 if errors else 200, **shown)


def _wanted() -> Wanted:
    """Return the settings that were sent."""
    form = request.form
    seconds = form.get("seconds", "")
    sent: dict[str, Any] = {name: form.get(name, "").strip() for name in _TEXTS}
    return Wanted(**sent, seconds=int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 else 0)


def _back(name: str) -> Response:
    return redirect(url_for("HookView.show", name=name) if name else url_for("HookView.list"))
