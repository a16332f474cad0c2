"""The commands of `syncline`, one module a subject; `webapp.cli` loads a module when its command is called."""
