"""The HTTP API: operators' verbs and submission for programs (FastAPI; OpenAPI at /openapi.json)."""
