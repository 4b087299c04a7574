"""Requests that are answered later: submitted, worked off, kept, and told of by webhooks."""
