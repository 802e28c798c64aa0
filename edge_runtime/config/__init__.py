"""The configuration: TOML into frozen pydantic settings."""
