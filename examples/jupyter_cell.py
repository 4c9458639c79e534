"""Run a cell in a new Jupyter kernel and print its output.

    jupyter server --IdentityProvider.token=secret
    python jupyter_cell.py http://127.0.0.1:8888 secret "print(6 * 7)"

The kernel is started and stopped over HTTP.  Its output arrives over the WebSocket, one
JSON object per message, with the id of the request that it belongs to.
"""

import json
import sys
import urllib.request
import uuid

from lomond import WebSocket


def call(method, url, headers):
    # {}: no proxy for our own server
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers, method=method)) as answer:
        return json.loads(answer.read().decode('utf-8') or 'null')


def run_cell(websocket, code):
    """Run the code; return its status, 'ok' or 'error'."""
    number, status = uuid.uuid4().hex, None
    header = dict(msg_id=number, msg_type='execute_request', username='', session=number, version='5.3')
    for event in websocket:
        if event.name == 'ready':
            websocket.send_json(channel='shell', header=header, parent_header={}, metadata={}, buffers=[],
                                content=dict(code=code, silent=False))
        elif event.name == 'text' and event.json['parent_header'].get('msg_id') == number:
            kind, content = event.json['msg_type'], event.json['content']
            if kind == 'stream':
                print(content['text'], end='')
            elif kind == 'execute_result':
                print(content['data']['text/plain'])
            elif kind == 'execute_reply':
                status = content['status']
            if status and kind == 'status' and content['execution_state'] == 'idle':
                websocket.close()       # idle comes after all output
        elif event.name in ('connect_fail', 'rejected', 'protocol_error'):
            sys.exit(str(event))
    return status


def main(server, token, code):
    headers = {'Authorization': 'token ' + token}
    kernel = server + '/api/kernels'
    kernel += '/' + call('POST', kernel, headers)['id']
    try:
        return run_cell(WebSocket(kernel + '/channels', proxies={}, headers=headers), code)
    finally:
        call('DELETE', kernel, headers)


if __name__ == '__main__':
    sys.exit(0 if main(*sys.argv[1:]) == 'ok' else 1)
