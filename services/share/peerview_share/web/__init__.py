"""The web page: drawn on the server, works without JavaScript."""
