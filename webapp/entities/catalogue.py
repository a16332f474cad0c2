"""The list of entities, and the page of one definition with its versions."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents.problems import DocumentError
from webapp.access.roles import READ
from webapp.entities import listing, references, resealing, services, storage, versions
from webapp.entities.designs import require_design
from webapp.entities.documents import public
from webapp.entities.listing import Query
from webapp.entities.pages import EntityRoom
from webapp.entities.permitted import permit_of
from webapp.policies.who import current_who
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


class CatalogueView(EntityRoom):
    """Entities."""

    route_base = "/entities"
    class_permission_name = "Entities"
    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show all entities."""
        with self.house.db.read() as tx:
            entities = services.list_entities(tx)
            counts = listing.counts(tx, {e: permit_of(tx, current_who(), e) for e in entities})
            changed = versions.changed(tx)
        return self.page("entities/catalogue.html", entities=entities, counts=counts, changed=changed)

    @expose("/<name>/")
    @has_access
    @permission_name("read")
    def show(self, name: str) -> Response:
        """Show a definition: its fields, who points to it, its versions."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            known = [{**version, "definition": public(version["definition"])} for version in versions.every(tx, name)]
            sealing = resealing.progress(tx, name)
            pointing = [(other, field) for other, field in references.pointing_at(tx, name)]
            permit = permit_of(tx, current_who(), entity)
            records = listing.count(tx, entity, Query(permit=permit)).records if permit.may(READ) else 0
        shown: dict[str, Any] = {"versions": known, "pointing": pointing, "records": records, "sealing": sealing}
        return self.page("entities/definition.html", entity=entity, permit=permit, **shown)

    @expose("/<name>/new-key", methods=["POST"])
    @has_access
    @permission_name("update")
    def new_key(self, name: str) -> Any:
        """Encrypt what is encrypted with a new key."""
        with self.house.db.read() as tx:
            require_design(tx, current_who(), name)
            encrypted = self.entity(tx, name).encrypted
        if encrypted:
            resealing.renew(self.house, name, self.actor)
            flash(_("The encrypted fields get a new key. This goes on in the background."), "success")
        return redirect(f"/entities/{name}/")

    @expose("/<name>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    def delete(self, name: str) -> Any:
        """Delete an entity with its records."""
        with self.house.db.read() as tx:
            require_design(tx, current_who(), name)
        try:
            services.delete_entity(self.house, name, self.actor)
        except DocumentError as error:
            flash(" ".join(translated(p.message) for p in error.problems), "danger")
            return redirect(f"/entities/{name}/")
        except storage.NoEntity:
            return redirect("/entities/")
        flash(_("The entity and its records are deleted."), "success")
        return redirect("/entities/")
