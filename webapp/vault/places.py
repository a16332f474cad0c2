"""Which place holds the key-encryption keys of this installation.

Several, as `vault,file`, let an installation move: the first wraps, all unwrap, and a rotation brings every secret
under the first.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import lru_cache
from pathlib import Path

from config import Settings, key_login
from rules.text import msg
from webapp.vault.errors import KeyUnavailable
from webapp.vault.key_service import KeyService, Place
from webapp.vault.key_services import AwsKms, AzureKeyVault, GoogleKms, HashiCorpVault
from webapp.vault.providers import EnvironmentKeys, FileKeys, KeyProvider
from webapp.vault.rsa_keys import RsaKeys


@lru_cache(maxsize=8)
def _in_file(kind: type[FileKeys], path: Path) -> KeyProvider:
    return kind(path)


@lru_cache(maxsize=8)
def _at(kind: type[KeyService], place: Place) -> KeyProvider:
    return kind(place)


SERVICES: dict[str, type[KeyService]] = {
    "vault": HashiCorpVault,
    "aws": AwsKms,
    "google": GoogleKms,
    "azure": AzureKeyVault,
}
PROVIDERS: dict[str, Callable[[Settings], KeyProvider]] = {
    "file": lambda settings: _in_file(FileKeys, settings.key_file),
    "rsa": lambda settings: _in_file(RsaKeys, settings.key_file),
    "environment": lambda _settings: EnvironmentKeys(),
}


class Several(KeyProvider):
    """The place where keys are now, and those where they were."""

    def __init__(self, places: tuple[KeyProvider, ...]) -> None:
        self.places = places

    @property
    def current(self) -> str:
        """Return the current key of the first place."""
        return self.places[0].current

    def wrap(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Wrap at the first place."""
        return self.places[0].wrap(data_key, owner)

    def unwrap(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Unwrap where the key is; raises what the first place says where it is at none."""
        problems: list[KeyUnavailable] = []
        for place in self.places:
            try:
                found = place.unwrap(key_id, wrapped, owner)
            except KeyUnavailable as error:
                problems.append(error)
            else:
                if found is not None:
                    return found
        if problems:
            raise problems[0]
        return None

    def renew(self) -> str:
        """Make a new key at the first place."""
        return self.places[0].renew()

    def retire(self, keep: Set[str]) -> tuple[str, ...]:
        """Forget old keys of the first place; the others are the operator's to remove."""
        return self.places[0].retire(keep)

    def exists(self) -> bool:
        """Tell whether there is a key at any place."""
        return any(place.exists() for place in self.places)


def open_provider(settings: Settings) -> KeyProvider:
    """Return the provider that the settings name; raises `KeyUnavailable` where they do not say enough."""
    places = tuple(_place(name, settings) for name in settings.key_provider)
    return places[0] if len(places) == 1 else Several(places)


def _place(name: str, settings: Settings) -> KeyProvider:
    service = SERVICES.get(name)
    if service is None:
        return PROVIDERS[name](settings)
    for setting, given in (("SYNCLINE_KEY_NAME", settings.key_name), ("SYNCLINE_KEY_SERVICE", settings.key_service)):
        if not given and (setting == "SYNCLINE_KEY_NAME" or not service.own_address):
            raise KeyUnavailable(
                msg("{setting} is not set, so the key in {place} cannot be reached.", setting=setting,
                    place=service.name),
                msg("Set it as docs/configuration.md says."),
            )  # fmt: skip
    return _at(service, Place(settings.key_service.rstrip("/"), settings.key_name, key_login(), settings.egress_allow))
