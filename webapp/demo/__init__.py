"""Two small systems that disagree, and the configuration that brings them together: what `make demo` shows.

`python -m webapp.demo FOLDER` writes them: crm.db and erp.db (SQLite), hr/employees.csv, and the configuration files.
The same seed gives the same records every time.
"""
