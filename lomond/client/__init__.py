"""What a client wants: options, request, redirects, retries, trace; internal.

Knows nothing of: loops and time; ``lomond.driver``.
"""
