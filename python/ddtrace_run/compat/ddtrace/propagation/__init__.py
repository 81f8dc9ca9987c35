"""How contexts are handed on."""
