"""What a session releases at its end, and how often."""

from __future__ import absolute_import, division, unicode_literals

import importlib
import sys

import pytest

from lomond import WebSocket
from lomond.testing import ACCEPT, EOF, ScriptedTransport


def test_interrupt_in_the_clean_up_leads_to_a_second_one():
    """It does what the first one left, and nothing twice."""
    calls, stages = [], []
    wire = ScriptedTransport([ACCEPT, EOF])

    def session_class(*arguments, **options):
        session = wire.session_class(*arguments, **options)
        make = session.waiting

        def waiting():
            found = make()
            close = found.close

            def interrupted():
                calls.append('close')
                if len(calls) == 1:
                    raise KeyboardInterrupt
                close()

            found.close = interrupted
            return found

        session.waiting = waiting
        return session

    websocket = WebSocket('ws://example.org/', proxies={},
                          trace=lambda record: stages.append(record['stage']))
    with pytest.raises(KeyboardInterrupt):
        for _ in websocket.connect(session_class=session_class, ping_rate=0):
            pass
    assert calls == ['close', 'close']
    assert stages.count('disconnected') == 1


@pytest.mark.parametrize('name, stage', [('dialer', 'connect'), ('proxy_settings', 'prepare')])
def test_module_that_cannot_be_imported_is_a_connect_fail(name, stage, monkeypatch):
    """The first connection imports them: the machine may be out of descriptors."""
    importlib.import_module('lomond.network.dialer')        # it imports the other one
    websocket = WebSocket('ws://127.0.0.1:1/', proxies={})
    monkeypatch.setitem(sys.modules, 'lomond.network.' + name, None)
    monkeypatch.setattr('lomond.session._DialFail', None)
    monkeypatch.setattr('lomond.client.attempt.Route', None)
    connecting, fail = websocket
    assert (fail.name, fail.stage, fail.reason[:18]) == ('connect_fail', stage, 'unable to connect;')
    assert name in str(fail.error)
