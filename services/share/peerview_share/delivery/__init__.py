"""How released cells reach peers: one form for REST, topics and pages."""
