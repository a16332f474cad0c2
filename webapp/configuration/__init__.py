"""Configuration as code: files that state connections, entities, roles and rules, applied in one transaction."""
