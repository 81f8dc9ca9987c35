"""Names of tags: SQL databases."""

DB = "sql.db"


def normalize_vendor(vendor):
    """The name of a database as tags have it."""
    if not vendor:
        return "db"
    if "sqlite" in vendor:
        return "sqlite"
    return "postgres" if "postgres" in vendor or vendor == "psycopg2" else vendor
