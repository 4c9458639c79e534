"""Take a screenshot with headless Chromium through its DevTools WebSocket.

    chromium --headless --remote-debugging-port=9222 --user-data-dir="$(mktemp -d)" about:blank
    python chromium_screenshot.py http://127.0.0.1:9222 file:///usr/share/doc/ page.png

A call is a JSON object with an id, and its result has the same id.  Messages without an
id are events of the page.  The screenshot is a single message of several hundred KiB.
"""

import base64
import json
import sys
import urllib.request

from lomond import WebSocket


def find_page(browser):
    """Return the WebSocket URL of the first open page."""
    # {}: no proxy for the local browser
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(browser + '/json/list') as answer:
        pages = json.loads(answer.read().decode('utf-8'))
    return next(page['webSocketDebuggerUrl'] for page in pages if page['type'] == 'page')


def main(browser, address, path):
    websocket = WebSocket(find_page(browser), proxies={})
    for event in websocket.connect(ping_timeout=60):
        if event.name == 'ready':
            websocket.send_json(id=1, method='Page.enable')
        elif event.name == 'text':
            said = event.json
            if 'error' in said:
                sys.exit(said['error']['message'])
            elif said.get('id') == 1:
                websocket.send_json(id=2, method='Page.navigate', params={'url': address})
            elif said.get('method') == 'Page.loadEventFired':
                websocket.send_json(id=3, method='Page.captureScreenshot', params={'format': 'png'})
            elif said.get('id') == 3:
                with open(path, 'wb') as picture:
                    picture.write(base64.b64decode(said['result']['data']))
                print('written:', path)
                websocket.close()
        elif event.name in ('connect_fail', 'rejected', 'protocol_error'):
            sys.exit(str(event))


if __name__ == '__main__':
    main(*sys.argv[1:])
