"""The pages of the room."""

from __future__ import annotations

from webapp.entities.catalogue import CatalogueView
from webapp.entities.designer import DesignerView
from webapp.entities.exchange_views import ExportView, ImportView
from webapp.entities.quality_views import QualityView
from webapp.entities.record_list import RecordListView
from webapp.entities.record_views import RecordView
from webapp.web.views import RoomView

VIEWS: tuple[type[RoomView], ...] = (
    CatalogueView,
    DesignerView,
    QualityView,
    RecordListView,
    RecordView,
    ExportView,
    ImportView,
)
