"""Who may see and do what with records: at the level of objects, fields and rows. docs/permissions.md says how."""
