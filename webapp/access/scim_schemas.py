"""What the SCIM server tells of itself (RFC 7643): its schemas, the kinds of resources, what it can do."""

from __future__ import annotations

import re
from typing import Any

CORE = "urn:ietf:params:scim:schemas:core:2.0"
USER, GROUP = f"{CORE}:User", f"{CORE}:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
TOLD = "urn:syncline:told"
"""Where a change of a resource holds what is told beside the attributes that are kept; never answered."""
MESSAGES = "urn:ietf:params:scim:api:messages:2.0"
LIST, PATCH, ERROR = f"{MESSAGES}:ListResponse", f"{MESSAGES}:PatchOp", f"{MESSAGES}:Error"
MOST = 500
USUAL = 100

_NAMES = (
    "nickname profileurl title usertype preferredlanguage locale timezone password phonenumbers ims photos addresses"
    " entitlements roles x509certificates displayname groups schemas id meta employeenumber costcenter organization"
    " division department manager"
)
_PASSED_OVER = frozenset(re.findall(r"\w+", _NAMES))
"""Attributes of the standard that are accepted and not kept, in small letters."""


def passed_over(attribute: str) -> bool:
    """Tell whether an attribute belongs to the standard but is not kept here."""
    return attribute.lower() in _PASSED_OVER


def _attribute(name: str, description: str, **more: Any) -> dict[str, Any]:
    usual = {
        "type": "string", "multiValued": False, "required": False, "caseExact": False, "mutability": "readWrite",
        "returned": "default", "uniqueness": "none",
    }  # fmt: skip
    return {"name": name, "description": description, **usual, **more}


def _complex(name: str, description: str, parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    made = _attribute(name, description, type="complex", subAttributes=parts, **more)
    del made["caseExact"], made["uniqueness"]
    return made


def _reference(name: str, mutability: str, kinds: list[str]) -> list[dict[str, Any]]:
    return [
        _attribute("value", f"The id of the {name}.", mutability=mutability, caseExact=True),
        _attribute("$ref", f"The address of the {name}.", type="reference", referenceTypes=kinds,
                   mutability=mutability, caseExact=True),
    ]  # fmt: skip


def schemas(base: str) -> list[dict[str, Any]]:
    """Return the schemas of users and groups.

    Args:
        base: The address of the SCIM server.
    """
    user = [
        _attribute("userName", "The name that the user signs in with.", required=True, uniqueness="server",
                   mutability="immutable"),
        _complex("name", "The user's names.", [
            _attribute("givenName", "The given name.", required=True),
            _attribute("familyName", "The family name."),
        ], required=True),
        _attribute("displayName", "The whole name.", mutability="readOnly"),
        _complex("emails", "The e-mail address; one is kept.", [
            _attribute("value", "The address.", required=True),
        ], multiValued=True, required=True),
        _attribute("active", "Whether the user may sign in. Disabling ends all sessions and keys.", type="boolean",
                   required=True),
        _complex("groups", "The roles that the user holds.", [
            *_reference("role", "readOnly", ["Group"]),
            _attribute("display", "Its name.", mutability="readOnly"),
        ],
                 multiValued=True, mutability="readOnly"),
    ]  # fmt: skip
    group = [
        _attribute("displayName", "The role's name.", required=True, uniqueness="server"),
        _complex("members", "The users that hold the role.", _reference("user", "immutable", ["User"]),
                 multiValued=True),
    ]  # fmt: skip
    return [
        _schema(USER, "User", "A user of the console.", user, base),
        _schema(GROUP, "Group", "A role of the console.", group, base),
    ]


def _schema(number: str, name: str, description: str, attributes: list[dict[str, Any]], base: str) -> dict[str, Any]:
    return {
        "schemas": [f"{CORE}:Schema"], "id": number, "name": name, "description": description,
        "attributes": attributes, "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{number}"},
    }  # fmt: skip


def kinds(base: str) -> list[dict[str, Any]]:
    """Return the kinds of resources."""
    return [
        {
            "schemas": [f"{CORE}:ResourceType"], "id": name, "name": name, "endpoint": f"/{name}s", "schema": number,
            "description": description,
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{name}"},
        }
        for name, number, description in (
            ("User", USER, "Users of the console."), ("Group", GROUP, "Roles of the console."))
    ]  # fmt: skip


def provider(base: str) -> dict[str, Any]:
    """Return what the server can do."""
    no = {"supported": False}
    return {
        "schemas": [f"{CORE}:ServiceProviderConfig"],
        "patch": {"supported": True}, "etag": {"supported": True},
        "filter": {"supported": True, "maxResults": MOST},
        "bulk": {**no, "maxOperations": 0, "maxPayloadSize": 0}, "sort": no, "changePassword": no,
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "API key", "primary": True,
            "description": "An API key of the console with the scopes provisioning:read and provisioning:update.",
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }  # fmt: skip
