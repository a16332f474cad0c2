"""The metadata database's revisions, kept by Alembic.

Flask-AppBuilder's tables (`ab_*`) are created by its own models, entities' tables (`e_*`) by their definitions; neither
belongs to the revisions.
"""
