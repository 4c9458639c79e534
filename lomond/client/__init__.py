"""What one client wants: options, requests, redirects, retries, trace records.
Internal.

Knows nothing of: loops, time, ``lomond.driver``.
"""
