"""The settings of how people sign in; `config` reads them with all others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from webapp.setting_values import Variable, boolean, choice, integer, issuer, matching, names, pairs


@dataclass(frozen=True)
class SignIn:
    """The part of the settings that says how people sign in."""

    admin_name: str
    require_https: bool
    session_idle_minutes: int
    session_hours: int
    require_second_factor: bool
    company_second_factor: str
    company_factor_classes: tuple[str, ...]
    passkey_verification: str
    proof_minutes: int
    proof_for_exports: bool
    service_accounts_follow_owner: bool
    user_attributes: tuple[tuple[str, str], ...]
    scim_sign_in: str
    company_days: int
    company_key_days: int
    oidc_issuer: str
    oidc_client_id: str
    oidc_name: str
    oidc_groups: str
    oidc_roles: tuple[tuple[str, str], ...]
    ldap_url: str
    ldap_ca: Path | None
    ldap_base: str
    ldap_user: str
    ldap_direct: str
    ldap_names: tuple[str, ...]
    ldap_people: str
    ldap_groups: str
    ldap_roles: tuple[tuple[str, str], ...]
    saml_metadata: str
    saml_entity: str
    saml_name: str
    saml_groups: str
    saml_roles: tuple[tuple[str, str], ...]


def directory(text: str) -> str:
    """Return the address of a directory."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/")):
        raise ValueError(f"'{text}' is not an address such as ldaps://ldap.example.com:636.")
    return text


def template(text: str) -> str:
    """Return a name with a place for what somebody enters."""
    if text and text.count("{name}") != 1:
        raise ValueError(f"'{text}' does not have {{name}} in one place, such as uid={{name}},ou=people,dc=example.")
    return text


def metadata(text: str) -> str:
    """Return where the description of a provider is: a file, or an address."""
    return issuer(text) if "://" in text else str(Path(text).expanduser().resolve()) if text else ""


SIGN_IN: tuple[Variable, ...] = (
    Variable(
        "SYNCLINE_ADMIN_NAME",
        "admin",
        "User name of the first administrator, who is made where there is no user yet.",
        matching(r"[A-Za-z0-9][A-Za-z0-9._@-]{1,63}", "2 to 64 letters, digits, dots, dashes or underscores"),
    ),
    Variable(
        "SYNCLINE_REQUIRE_HTTPS",
        "no",
        "Whether requests that did not come by HTTPS are refused, but for /healthz, /readyz and /metrics: `yes`, `no`. "
        "The proxy has to say how they came (X-Forwarded-Proto) and to be counted in SYNCLINE_TRUSTED_PROXIES.",
        boolean,
    ),
    Variable(
        "SYNCLINE_SESSION_IDLE_MINUTES",
        "120",
        "Minutes after which somebody who does nothing is signed out.",
        integer(1, 24 * 60),
    ),
    Variable("SYNCLINE_SESSION_HOURS", "12", "Hours after which everybody has to sign in again.", integer(1, 30 * 24)),
    Variable(
        "SYNCLINE_REQUIRE_SECOND_FACTOR",
        "",
        "Whether everybody has to set up a second factor before anything else: `yes` or `no`. Empty: no in evaluation, "
        "yes in production.",
        lambda t: None if not t else boolean(t),
    ),
    Variable(
        "SYNCLINE_COMPANY_SECOND_FACTOR",
        "told",
        "Who asks people from an identity provider (OpenID Connect, SAML) for a second factor. `told`: Syncline, "
        "unless the provider tells that it has (amr, acr, AuthnContext); `trusted`: the provider alone, whatever it "
        "tells; `asked`: Syncline always.",
        choice("told", "trusted", "asked"),
    ),
    Variable(
        "SYNCLINE_COMPANY_FACTOR_CLASSES",
        "",
        "Values of acr or of the class of the AuthnContext by which the provider tells that it has asked for a second "
        "factor, beside the usual ones, separated by commas; OpenID Connect providers are asked for them.",
        names,
    ),
    Variable(
        "SYNCLINE_PASSKEY_VERIFICATION",
        "preferred",
        "Whether a passkey as second factor asks for its PIN or a finger: `required`, `preferred` where it can, or "
        "`discouraged`. A passkey that lets in without a password always does.",
        choice("required", "preferred", "discouraged"),
    ),
    Variable(
        "SYNCLINE_PROOF_MINUTES",
        "10",
        "Minutes for which somebody who has shown who they are may change users, roles, keys, secrets and the like "
        "before they are asked again; 0: they are never asked again.",
        integer(0, 24 * 60),
    ),
    Variable(
        "SYNCLINE_PROOF_FOR_EXPORTS",
        "no",
        "Whether exporting the audit log asks for that as well: `yes` or `no`.",
        boolean,
    ),
    Variable(
        "SYNCLINE_SERVICE_ACCOUNTS_FOLLOW_OWNER",
        "yes",
        "Whether the keys of a service account stop working while its owner is disabled: `yes` or `no`.",
        boolean,
    ),
    Variable(
        "SYNCLINE_USER_ATTRIBUTES",
        "",
        "Which attributes of users the company's directory or identity provider fills, at each sign-in and by SCIM: "
        "attribute=its name there, separated by commas, such as country=co,department=department.",
        pairs,
    ),
    Variable(
        "SYNCLINE_SCIM_SIGN_IN",
        "",
        "By which sign-in people are known under the name that the company's directory gives them by SCIM "
        "(externalId): `oidc`, `saml`, `ldap` or `none`. Empty: the one that is set up, and none where there are "
        "several.",
        choice("", "oidc", "saml", "ldap", "none"),
    ),
    Variable(
        "SYNCLINE_COMPANY_DAYS",
        "7",
        "Days after which who signs in by the company's identity provider or directory has to do so again before a "
        "passkey alone lets them in; 0: never.",
        integer(0, 3650),
    ),
    Variable(
        "SYNCLINE_COMPANY_KEY_DAYS",
        "30",
        "Days without a sign-in there after which the API keys of such a person wait for the next one; those of "
        "service accounts do not. 0: never.",
        integer(0, 3650),
    ),
    Variable(
        "SYNCLINE_OIDC_ISSUER",
        "",
        "Identity provider (OpenID Connect) by which people sign in beside passwords: what it calls itself. "
        "The client's secret is in the variable SYNCLINE_OIDC_CLIENT_SECRET; people come back to the console's address "
        "with /login/company/callback.",
        issuer,
    ),
    Variable("SYNCLINE_OIDC_CLIENT_ID", "", "What the identity provider calls this installation.", str),
    Variable("SYNCLINE_OIDC_NAME", "your company account", "What the sign-in page calls the identity provider.", str),
    Variable("SYNCLINE_OIDC_GROUPS", "groups", "The claim that holds a user's groups.", str),
    Variable(
        "SYNCLINE_OIDC_ROLES",
        "",
        "Which role each group holds: group=Role, separated by commas; *=Role for everybody. "
        "Who has no role is not let in.",
        pairs,
    ),
    Variable(
        "SYNCLINE_LDAP_URL",
        "",
        "Directory whose users sign in with their names and passwords there: ldap://host:389, which is encrypted by "
        "StartTLS, or ldaps://host:636.",
        directory,
    ),
    Variable(
        "SYNCLINE_LDAP_CA",
        "",
        "File with the certificate authority of the directory; empty for the well-known ones.",
        lambda text: Path(text).expanduser().resolve() if text else None,
    ),
    Variable("SYNCLINE_LDAP_BASE", "", "The entry below which users lie, such as dc=example,dc=com.", str),
    Variable(
        "SYNCLINE_LDAP_USER",
        "",
        "Whole name of the user that looks for who signs in; its password is in the variable SYNCLINE_LDAP_PASSWORD. "
        "Empty: a guest looks.",
        str,
    ),
    Variable(
        "SYNCLINE_LDAP_DIRECT",
        "",
        "Where nobody has to look first: the whole name by which {name} signs in, such as "
        "uid={name},ou=people,dc=example,dc=com or {name}@example.com for Active Directory.",
        template,
    ),
    Variable(
        "SYNCLINE_LDAP_NAMES",
        "uid",
        "Attributes that hold what people enter as their name, separated by commas; sAMAccountName for Active "
        "Directory.",
        names,
    ),
    Variable(
        "SYNCLINE_LDAP_PEOPLE",
        "(objectClass=person)",
        "Filter that users meet.",
        str,
    ),
    Variable("SYNCLINE_LDAP_GROUPS", "", "The entry below which groups lie. Empty: that of SYNCLINE_LDAP_BASE.", str),
    Variable(
        "SYNCLINE_LDAP_ROLES",
        "",
        "Which role each group of the directory holds, by its common name: group=Role, separated by commas; *=Role for "
        "everybody. Who has no role is not let in.",
        pairs,
    ),
    Variable(
        "SYNCLINE_SAML_METADATA",
        "",
        "Identity provider (SAML 2.0) by which people sign in beside passwords: a file with its metadata, or the "
        "address of that. Its side is told the console's address with /login/saml/metadata.",
        metadata,
    ),
    Variable(
        "SYNCLINE_SAML_ENTITY",
        "",
        "What this installation is called there. Empty: the address of its metadata.",
        str,
    ),
    Variable("SYNCLINE_SAML_NAME", "your company account", "What the sign-in page calls that provider.", str),
    Variable("SYNCLINE_SAML_GROUPS", "groups", "The attribute that holds a user's groups.", str),
    Variable(
        "SYNCLINE_SAML_ROLES",
        "",
        "Which role each of these groups holds: group=Role, separated by commas; *=Role for everybody. "
        "Who has no role is not let in.",
        pairs,
    ),
)


_NEEDED = {
    "oidc_issuer": ("an identity provider", ("oidc_client_id", "oidc_roles")),
    "ldap_url": ("a directory", ("ldap_base", "ldap_roles")),
    "saml_metadata": ("an identity provider", ("saml_roles",)),
}


def lacking(values: dict[str, Any]) -> tuple[str, str] | None:
    """Return a setting that others have to go with, and the problem, where they are missing."""
    for name, (what, needed) in _NEEDED.items():
        if values[name] and not all(values[other] for other in needed):
            others = " and ".join(f"SYNCLINE_{other.upper()}" for other in needed)
            return f"SYNCLINE_{name.upper()}", f"{what} needs {others} as well."
    return None
