"""The catalogs of the console's texts; `python -m webapp.translations` keeps them."""
