"""The embedded API server: objects, versions, watches, patches and HTTP."""
