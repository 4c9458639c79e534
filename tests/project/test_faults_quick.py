"""The quick half of the chaos suite (``tests/faults``), and bugs that it has found.

``python tests/faults/run.py`` runs it all.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import sys
import threading
import time

import pytest
from support.client import in_thread, play
from support.paths import TESTS

from lomond import errors

if os.path.isdir('/proc/self/fd'):          # used to stop peers and to measure memory
    sys.path.insert(0, os.path.join(TESTS, 'faults'))
    import chaos
    from chaos_all import ALL
    QUICK = [one for one in ALL if one.quick]
else:
    QUICK = []


@pytest.fixture(scope='module')
def world(certs):           # noqa: F811
    world = chaos.World(certs.ca, certs.server)
    yield world
    world.close()


@pytest.mark.ends
@pytest.mark.parametrize('one', QUICK, ids=lambda one: one.name.replace(' ', '-').replace(':', ''))
def test_quick(one, world):
    one.run(world)


def test_close_that_makes_another_send_fail_is_written():
    """A send that close() makes fail holds the lock, but must not hold the close frame."""
    def script(peer):
        peer.accept()
        peer.answer_close()
        assert peer.read_end() == 'fin'

    def send(ws):
        core, lock, asked = ws.session._core, ws.session._driver.writer._lock, []

        class Inputs(list):
            def __ne__(self, other):            # the check of a sender
                if lock.is_taken() and not asked:
                    asked.append(True)
                    closer = threading.Thread(target=ws.close)
                    closer.start()
                    closer.join()
                    time.sleep(0.1)             # the loop finds the lock taken, and waits
                return list(self) != other
        time.sleep(0.1)                         # the loop waits
        core.inputs = Inputs(core.inputs)
        with pytest.raises(errors.WebSocketClosing):
            ws.send_text('refused')
        assert asked
    threads = []
    played = play(script, {'ready': lambda ws, event: threads.append(in_thread(send, ws))},
                  poll=30, close_timeout=5.0)
    played.ended('connecting connected ready closed disconnected', 'closed', True, 1000)
    threads[0].join()
    assert threads[0].error is None
    assert played.elapsed < 1.5
