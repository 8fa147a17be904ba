"""Alembic's revisions, shipped with the package so that an installed `unmask migrate` finds them."""
