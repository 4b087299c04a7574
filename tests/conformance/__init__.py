"""The started service, seen from outside: every sample of every corpus goes through it over HTTP."""
