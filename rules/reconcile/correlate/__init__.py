"""How unlinked records of two sides find each other: tiers of comparisons, candidates, links one to one.

Columnar and without I/O. `Correlator` is compiled from a rule; `presets` are tiers that an editor can offer.
"""

from rules.reconcile.correlate.correlator import Correlator
from rules.reconcile.correlate.matches import Matches, Skipped
from rules.reconcile.correlate.presets import Preset, PresetField, presets

__all__ = ["Correlator", "Matches", "Preset", "PresetField", "Skipped", "presets"]
