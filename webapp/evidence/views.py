"""The pages of the evidence: what auditors look at."""

from __future__ import annotations

from webapp.evidence.change_views import ChangeView, SignInView
from webapp.evidence.forward_views import ForwardView
from webapp.evidence.hold_views import HoldView, PersonView
from webapp.evidence.look_views import LookView
from webapp.evidence.package_views import PackageView, SealView
from webapp.evidence.record_views import RecordHistoryView

VIEWS = (
    RecordHistoryView,
    ChangeView,
    SignInView,
    LookView,
    PackageView,
    SealView,
    ForwardView,
    HoldView,
    PersonView,
)
