"""An installation as a whole: moved to another database, backed up and restored.

What the metadata database holds travels table by table as Arrow batches in which both kinds of databases mean the same.
"""
