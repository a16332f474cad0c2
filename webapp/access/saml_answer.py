"""Whether an answer of the identity provider counts (SAML 2.0 core and profiles, 4.1.4.3).

Nothing is believed but what comes out of the signature: once it is checked, only the bytes that were signed are read,
so an assertion that was put beside, around or into a signed one (signature wrapping) is never looked at.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import load_pem_x509_certificate
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from rules.text import msg
from webapp.access import assurance, once, saml
from webapp.access.identities import NotAdmitted
from webapp.access.saml import ASSERTION, NAMES, PROTOCOL, SIGNATURE, Provider, plain
from webapp.extensions import House

_LEEWAY = timedelta(seconds=60)
_LONGEST = timedelta(hours=24)
"""An assertion that could be used for longer is noted as used for so long; by then its request is long forgotten."""
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_FLEETING = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_METHODS = frozenset({
    SignatureMethod.RSA_SHA256, SignatureMethod.RSA_SHA384, SignatureMethod.RSA_SHA512,
    SignatureMethod.SHA256_RSA_MGF1, SignatureMethod.SHA384_RSA_MGF1, SignatureMethod.SHA512_RSA_MGF1,
    SignatureMethod.ECDSA_SHA256, SignatureMethod.ECDSA_SHA384, SignatureMethod.ECDSA_SHA512,
})  # fmt: skip
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_KNOWN_AS = {
    "email": ("email", "mail", "emailAddress", "urn:oid:0.9.2342.19200300.100.1.3", f"{_CLAIMS}emailaddress"),
    "given_name": ("givenName", "firstName", "given_name", "urn:oid:2.5.4.42", f"{_CLAIMS}givenname"),
    "family_name": ("sn", "surname", "lastName", "family_name", "urn:oid:2.5.4.4", f"{_CLAIMS}surname"),
    "name": ("displayName", "name", "urn:oid:2.16.840.1.113730.3.1.241", f"{_CLAIMS}name"),
    "preferred_username": ("uid", "username", "urn:oid:0.9.2342.19200300.100.1.1"),
}
"""What providers call what we know of people."""


@dataclass(frozen=True)
class Answer:
    """Who has signed in: claims in the words of OpenID Connect, groups, and when they showed who they are."""

    claims: Mapping[str, Any]
    groups: frozenset[str]
    shown_at: datetime | None


def judged(house: House, posted: str, number: str) -> Answer:
    """Return what the provider says of who has signed in there.

    Args:
        house: The house.
        posted: The answer as the browser brings it.
        number: The request that it has to answer.

    Raises:
        NotAdmitted: It does not count.
    """
    try:
        response = saml.parsed(base64.b64decode("".join(posted.split()), validate=True))
        provider = saml.provider(house)
        _check_response(house, response, provider, number)
        assertion = _signed(house, response, provider)
        _check_assertion(house, assertion, provider, number)
        answer = _answer(house, assertion)
    except (ValueError, binascii.Error) as error:
        text = msg("The answer of the identity provider cannot be trusted: {text}", text=str(error)[:300])
        raise NotAdmitted(text) from None
    with house.db.begin() as tx:
        if not once.used(tx, f"saml:{provider.name}:{assertion.get('ID')}", house.clock(), house.clock() + _LONGEST):
            raise NotAdmitted(msg("The answer of the identity provider has been used before. Sign in again."))
    return answer


def _check_response(house: House, response: Any, provider: Provider, number: str) -> None:
    if response.tag != f"{{{PROTOCOL}}}Response" or response.get("Version") != "2.0":
        raise ValueError("It is no response of SAML 2.0.")
    if response.get("Destination") not in (None, saml.callback(house.settings)):
        raise ValueError("It is sent to another address.")
    if not number or response.get("InResponseTo") != number:
        raise ValueError("It belongs to another sign-in.")
    issuer = response.find("a:Issuer", NAMES)
    if issuer is not None and plain(issuer) != provider.name:
        raise ValueError("It comes from another provider.")
    status = response.find("p:Status/p:StatusCode", NAMES)
    if status is None or status.get("Value") != _SUCCESS:
        said = response.find("p:Status/p:StatusMessage", NAMES)
        raise NotAdmitted(
            msg(
                "The identity provider has not let you in: {text}",
                text=(plain(said) if said is not None else "-")[:200],
            )
        )


def _signed(house: House, response: Any, provider: Provider) -> Any:
    """Return the one assertion of a response as it was signed; raises `ValueError`."""
    if response.find(".//a:EncryptedAssertion", NAMES) is not None:
        raise ValueError("It is encrypted; switch that off for this application, the connection is encrypted anyway.")
    found = response.findall(".//a:Assertion", NAMES)
    if len(found) != 1 or found[0].getparent() is not response:
        raise ValueError("It does not hold one assertion.")
    of = found[0] if found[0].find("s:Signature", NAMES) is not None else response
    signatures = list(response.iter(f"{{{SIGNATURE}}}Signature"))
    if not signatures or len(signatures) > 2 or any(one.getparent() not in (response, found[0]) for one in signatures):
        raise ValueError("It is not signed as it has to be.")
    whole = _verified(house, of, provider)
    if whole.tag != of.tag or whole.get("ID") != of.get("ID") or not of.get("ID"):
        raise ValueError("Something else is signed.")
    inner = [whole] if whole.tag == f"{{{ASSERTION}}}Assertion" else whole.findall("a:Assertion", NAMES)
    if len(inner) != 1:
        raise ValueError("It does not hold one signed assertion.")
    return inner[0]


def _verified(house: House, signed: Any, provider: Provider) -> Any:
    """Return an element as its signature covers it, by a key of the provider; raises `ValueError`."""
    config = SignatureConfiguration(
        location="./", signature_methods=_METHODS, digest_algorithms=_DIGESTS, ignore_ambiguous_key_info=True
    )
    data, problem = etree.tostring(signed, with_tail=False), "no certificate"
    for pem in provider.certificates:
        try:
            key = load_pem_x509_certificate(pem.encode())
            config_then = _at(config, key.not_valid_after_utc, house.clock())
            result = XMLVerifier().verify(data, x509_cert=key, id_attribute="ID", expect_config=config_then)
        except (SignXMLException, UnsupportedAlgorithm, ValueError, etree.LxmlError) as error:
            problem = str(error) or type(error).__name__
            continue
        if not isinstance(result, list) and result.signed_xml is not None:
            return result.signed_xml
    raise ValueError(f"its signature is wrong ({problem})")


def _at(config: SignatureConfiguration, end: datetime, now: datetime) -> SignatureConfiguration:
    """Return the configuration for a certificate: the metadata vouch for its key, not its dates."""
    return SignatureConfiguration(**{**config.__dict__, "verification_time": min(now, end - timedelta(seconds=1))})


def _check_assertion(house: House, assertion: Any, provider: Provider, number: str) -> None:
    issuer = assertion.find("a:Issuer", NAMES)
    if issuer is None or plain(issuer) != provider.name or assertion.get("Version") != "2.0":
        raise ValueError("The assertion comes from another provider.")
    now, conditions = house.clock(), assertion.find("a:Conditions", NAMES)
    if conditions is None:
        raise ValueError("The assertion says neither for whom nor for how long it is.")
    _check_time(conditions, now)
    named = [
        {plain(one) for one in each.findall("a:Audience", NAMES)}
        for each in conditions.findall("a:AudienceRestriction", NAMES)
    ]
    if not named or not all(saml.entity(house.settings) in each for each in named):
        raise ValueError("The assertion is meant for another application.")
    told = assertion.findall("a:Subject/a:SubjectConfirmation", NAMES)
    if not any(_confirms(house, one, number) for one in told):
        raise ValueError("The assertion is not for this sign-in, or has come too late.")


def _check_time(conditions: Any, now: datetime) -> None:
    begins, ends = saml.moment(conditions.get("NotBefore")), saml.moment(conditions.get("NotOnOrAfter"))
    if begins is not None and begins > now + _LEEWAY:
        raise ValueError("The assertion does not count yet; look at the clocks.")
    if ends is not None and ends <= now - _LEEWAY:
        raise ValueError("The assertion counts no more.")


def _confirms(house: House, confirmation: Any, number: str) -> bool:
    data = confirmation.find("a:SubjectConfirmationData", NAMES)
    if confirmation.get("Method") != _BEARER or data is None or data.get("NotBefore") is not None:
        return False
    ends = saml.moment(data.get("NotOnOrAfter"))
    in_time = ends is not None and ends > house.clock() - _LEEWAY
    return in_time and data.get("Recipient") == saml.callback(house.settings) and data.get("InResponseTo") == number


def _answer(house: House, assertion: Any) -> Answer:
    name, statement = assertion.find("a:Subject/a:NameID", NAMES), assertion.find("a:AuthnStatement", NAMES)
    if name is None or not plain(name) or statement is None:
        raise ValueError("The assertion does not say who has signed in.")
    if name.get("Format") == _FLEETING:
        raise ValueError("The assertion gives no lasting name of the user; let the provider send one (persistent).")
    values: dict[str, list[str]] = {}
    for attribute in assertion.findall("a:AttributeStatement/a:Attribute", NAMES):
        given = [plain(value) for value in attribute.findall("a:AttributeValue", NAMES)]
        values.setdefault(str(attribute.get("Name")), []).extend(given)
    found = {
        claim: next((values[one][0] for one in known if values.get(one)), "") for claim, known in _KNOWN_AS.items()
    }
    asked = statement.find("a:AuthnContext/a:AuthnContextClassRef", NAMES)
    claims = {claim: value for claim, value in found.items() if value} | {"sub": plain(name)}
    how = {"amr": values.get(assurance.ENTRA, []), "acr": plain(asked) if asked is not None else ""}
    if "email" not in claims and "@" in claims["sub"]:
        claims["email"] = claims["sub"]
    groups = frozenset(values.get(house.settings.saml_groups, ()))
    return Answer({**claims, **how}, groups, saml.moment(statement.get("AuthnInstant")))
