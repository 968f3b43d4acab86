"""Share's own database: what people decided, and what was released. SQLAlchemy Core throughout."""
