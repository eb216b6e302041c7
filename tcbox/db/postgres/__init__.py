"""The PostgreSQL engine: a server that several processes share."""
