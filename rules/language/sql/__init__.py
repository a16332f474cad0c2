"""What a source can filter itself: from a condition to `rules.predicate`. No I/O.

The predicate is never narrower than the condition. A record for which the condition is true, or fails, or cannot be
known from outside, meets it; only records that are out of scope for certain do not. So the condition is still asked of
every record that arrives, and comes to the same result as over all records.
"""

from __future__ import annotations

from rules.language.sql.compile import Pushed, push_down

__all__ = ["Pushed", "push_down"]
