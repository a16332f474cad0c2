"""Whether the company's identity provider says that it has asked somebody for a second factor.

OpenID Connect tells it as `amr` (RFC 8176) or `acr`, SAML as the class of the authentication context; Entra ID and
AD FS tell it by SAML in an attribute as well. A provider that says nothing has not said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config import Settings

ENTRA = "http://schemas.microsoft.com/claims/authnmethodsreferences"
"""The attribute of SAML by which Microsoft's providers tell how they have asked."""
_SAML_CLASSES = "urn:oasis:names:tc:SAML:2.0:ac:classes:"
_CLASSES = frozenset({
    "http://schemas.microsoft.com/claims/multipleauthn",
    "http://schemas.openid.net/pape/policies/2007/06/multi-factor",
    "https://refeds.org/profile/mfa",
    "phr", "phrh",
    f"{_SAML_CLASSES}MobileTwoFactorContract", f"{_SAML_CLASSES}MobileTwoFactorUnregistered",
    f"{_SAML_CLASSES}SmartcardPKI",
})  # fmt: skip
"""What stands for two factors whatever the settings say."""
_KNOWN = frozenset({"pwd", "pin", "kba"})
_HELD = frozenset({"otp", "hwk", "swk", "sms", "tel", "sc", "pop"})
_GROWN = frozenset({"face", "fpt", "iris", "retina", "vbm"})


def vouched(settings: Settings, claims: Mapping[str, Any]) -> bool:
    """Tell whether nobody has to be asked here, by what a provider tells and `SYNCLINE_COMPANY_SECOND_FACTOR`."""
    if settings.company_second_factor != "told":
        return settings.company_second_factor == "trusted"
    methods, classes = _texts(claims.get("amr")), _texts(claims.get("acr"))
    if "mfa" in methods or (methods | classes) & (_CLASSES | set(settings.company_factor_classes)):
        return True
    return sum(bool(methods & kind) for kind in (_KNOWN, _HELD, _GROWN)) > 1


def _texts(told: Any) -> set[str]:
    return {told} if isinstance(told, str) else set(map(str, told)) if isinstance(told, list) else set()
