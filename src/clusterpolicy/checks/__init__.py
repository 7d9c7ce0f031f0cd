"""How tables are held against their rules before anything is computed from them."""
