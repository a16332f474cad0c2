"""What rooms and actions are called on pages."""

from __future__ import annotations

from flask_babel import gettext as _


def rooms() -> dict[str, tuple[str, str]]:
    """Return the label and the meaning of each room."""
    return {
        "Connections": (_("Connections"), _("Connected systems and their settings")),
        "Entities": (_("Entities"), _("Definitions of record types")),
        "Records": (_("Records"), _("The records in entities")),
        "Rules": (_("Rules"), _("Rules and their versions")),
        "Runs": (_("Runs"), _("Runs, their progress and results")),
        "Quarantine": (_("Quarantine"), _("Records that failed")),
        "Cases": (_("Cases"), _("Questions that wait for a person")),
        "Events": (_("Events"), _("Events from other systems, and what event rules made of them")),
        "Approvals": (_("Approvals"), _("What a second person has to approve")),
        "Audit": (_("Audit log"), _("Who did what, and when")),
        "Users": (_("Users"), _("People who sign in")),
        "Roles": (_("Roles"), _("What people may do")),
        "Keys": (_("API keys"), _("Keys for programs")),
        "Provisioning": (_("Provisioning"), _("Users and roles that the company's directory manages (SCIM)")),
    }


def actions() -> dict[str, str]:
    """Return the label of each action."""
    return {
        "read": _("Read"),
        "create": _("Create"),
        "update": _("Change"),
        "delete": _("Delete"),
        "export": _("Export"),
        "import": _("Import"),
        "run": _("Run"),
        "publish": _("Publish"),
        "approve": _("Approve"),
        "override": _("Override"),
    }
