"""Certificates for scenarios that run outside pytest."""

from __future__ import absolute_import, division, unicode_literals

import os
import warnings


def make_certificates(folder):
    """An authority and a server's certificate: paths of two PEM files."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import trustme
    ca = trustme.CA()
    paths = os.path.join(folder, 'ca.pem'), os.path.join(folder, 'server.pem')
    ca.cert_pem.write_to_path(paths[0])
    ca.issue_cert('localhost', '127.0.0.1').private_key_and_cert_chain_pem.write_to_path(paths[1])
    return paths
