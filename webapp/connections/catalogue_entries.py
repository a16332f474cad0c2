"""What the catalogue shows: connectors and presets, what each can do, how good it is and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from connectors import registry
from connectors.errors import ConnectorError
from connectors.presets import Preset, all_presets
from connectors.quality import Level, Rating, rate, results_of
from connectors.registry import Origin
from connectors.spi import Capabilities, ConnectorSpec
from rules.text import N_, Message
from webapp.connections.catalogue import HUB, connector_class
from webapp.connections.catalogue_words import ABILITIES, ALIASES, Ability

Translate = Callable[[str, str], str]
"""An English text and a language -> the text in that language."""

LANGUAGES = ("en", "zh")
_BROKEN = N_("Plugins that cannot be loaded")


@dataclass(frozen=True)
class Entry:
    """One connector or preset; texts are by language. `problem` says why a plugin cannot be used."""

    name: str
    label: Mapping[str, str]
    category: Mapping[str, str]
    summary: Mapping[str, str]
    version: str
    connector: str = ""
    preset: Preset | None = None
    spec: ConnectorSpec | None = None
    origin: Origin | None = None
    rating: Rating | None = None
    problem: Message | None = None
    words: str = field(default="", repr=False)
    stands_on: Mapping[str, str] = field(default_factory=dict)
    """What the connector of a preset is called; its rating is the preset's."""

    @property
    def able(self) -> Capabilities | None:
        """Return what it can do; nothing is known of a plugin that cannot be loaded."""
        return self.spec.capabilities if self.spec else None

    def has(self, ability: Ability) -> bool:
        """Tell whether it can do something: a preset writes what its objects allow, and may keep no log of changes."""
        if self.able is None:
            return False
        if self.preset is not None and ability.name in ("create", "update", "delete"):
            return any(ability.name in described.writes for described in self.preset.objects)
        if self.preset is not None and ability.name == "capture":
            return self.preset.log
        return ability.held(self.able)

    @property
    def tested(self) -> tuple[tuple[str, str], ...]:
        """Return what it was tested against: (how, what), real systems first."""
        if self.preset is not None:
            return ((self.preset.tested.against, self.preset.tested.documentation),)
        found = self.rating.results.evidence if self.rating else {}
        kinds = (("real", "real_system"), ("rebuilt", "rebuilt_system"), ("without", "no_system"))
        return tuple((how, what) for how, criterion in kinds for what in found.get(criterion, ()))


@dataclass(frozen=True)
class Wanted:
    """What is looked for; empty parts do not narrow."""

    text: str = ""
    category: str = ""
    ability: str = ""
    level: str = ""

    @property
    def narrows(self) -> bool:
        """Tell whether anything is looked for."""
        return any((self.text, self.category, self.ability, self.level))


def entries(translate: Translate) -> list[Entry]:
    """Return all connectors and presets; plugins that cannot be loaded are there with their reason."""
    connectors = [connector_entry(name, translate) for name in registry.names() if name != HUB]
    known = {entry.name: entry for entry in connectors}
    return [*connectors, *(preset_entry(preset, known.get(preset.connector)) for preset in all_presets())]


def connector_entry(name: str, translate: Translate) -> Entry:
    """Return the entry of a connector."""
    origin = registry.origin(name)
    try:
        spec = connector_class(name).spec
    except ConnectorError as error:
        label = dict.fromkeys(LANGUAGES, name)
        broken = {language: translate(_BROKEN, language) for language in LANGUAGES}
        words = f"{name} {origin.distribution}".casefold()
        return Entry(name, label, broken, {}, origin.version, name, origin=origin, problem=error.advice, words=words)
    label, category, summary = (
        {lang: translate(text, lang) for lang in LANGUAGES} for text in (spec.label, spec.category, spec.summary)
    )
    rating = rate(results_of(name, origin.package), spec.capabilities)
    words = _words(name, *label.values(), *category.values(), *summary.values(), ALIASES.get(name, ""))
    return Entry(name, label, category, summary, origin.version, name, None, spec, origin, rating, words=words)


def preset_entry(preset: Preset, base: Entry | None) -> Entry:
    """Return the entry of a preset, which can do what its connector can do, as well as that one does it."""
    label, category, summary = (
        {"en": said.en, "zh": said.zh} for said in (preset.label, preset.category, preset.summary)
    )
    objects = (text for o in preset.objects for text in (o.name, o.label.en, o.label.zh))
    words = _words(preset.name, *label.values(), *category.values(), *summary.values(), *objects)
    own = Entry(preset.name, label, category, summary, str(preset.version), preset.connector, preset, words=words)
    if base is None:
        return own
    return replace(own, spec=base.spec, origin=base.origin, rating=base.rating, stands_on=base.label)


def find(found: Iterable[Entry], wanted: Wanted) -> list[Entry]:
    """Return the entries that have every word of the text somewhere, in any language, and all else that is wanted."""
    words = wanted.text.casefold().split()
    return [entry for entry in found if all(word in entry.words for word in words) and _fits(entry, wanted)]


def grouped(found: Iterable[Entry], language: str) -> list[tuple[str, list[Entry]]]:
    """Return the entries by category, both sorted; plugins with a problem come last."""
    groups: dict[tuple[bool, str], list[Entry]] = {}
    for entry in found:
        groups.setdefault((entry.problem is not None, entry.category[language]), []).append(entry)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], item[0][1].casefold()))
    return [(key[1], sorted(group, key=lambda e: (e.label[language].casefold(), e.name))) for key, group in ordered]


def _fits(entry: Entry, wanted: Wanted) -> bool:
    if wanted.category and wanted.category != entry.category["en"]:
        return False
    if wanted.level and (entry.rating is None or entry.rating.level < Level[wanted.level.upper()]):
        return False
    return not wanted.ability or _able(entry, wanted.ability)


def _able(entry: Entry, ability: str) -> bool:
    wanted = next((a for a in ABILITIES if a.name == ability), None)
    return wanted is not None and entry.has(wanted)


def _words(*texts: str) -> str:
    return " ".join(texts).casefold()
