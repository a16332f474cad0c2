"""How to talk to systems. Of the rules package it imports the shared words only."""
