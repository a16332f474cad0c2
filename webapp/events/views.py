"""The pages of event rules: making and editing one, simulating it, how it does at work; the events themselves."""

from __future__ import annotations

from webapp.events.editor_views import EventRuleView
from webapp.events.event_views import EventsView
from webapp.events.hook_views import HookView
from webapp.events.notice_views import NoticeView
from webapp.events.simulation_views import SimulationView
from webapp.events.work_views import WorkView

VIEWS = (EventRuleView, SimulationView, WorkView, EventsView, HookView, NoticeView)
