"""Names of tags: SQL databases."""

DB: str

def normalize_vendor(vendor: str | None) -> str: ...
