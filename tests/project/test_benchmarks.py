"""The arithmetic and the streams of benchmarks/. Nothing is measured here."""

from __future__ import absolute_import, division, unicode_literals

import json
import os
import subprocess
import sys
import zlib
from xml.etree import ElementTree

import pytest
from support.cores import open_client
from support.paths import CHECKOUT, import_from

if sys.version_info < (3, 6):
    pytest.skip('benchmarks/run.py is for Python 3', allow_module_level=True)

pytestmark = pytest.mark.checkout


report, workloads = import_from('benchmarks', 'report'), import_from('benchmarks', 'workloads')


@pytest.mark.parametrize('values, expected', [
    ([3], 3), ([5, 1, 3], 3), ([4, 1, 3, 2], 2.5), ((2.0, 1.0), 1.5)])
def test_median(values, expected):
    assert report.median(values) == expected


def test_no_median_of_nothing():
    with pytest.raises(ValueError):
        report.median([])


def test_ratio_is_of_the_same_round():
    assert report.ratio([8, 9, 20], [4, 3, 5]) == (3, 2, 4)
    assert report.ratio([8, None, 20], [4, 3, None]) == (2, 2, 2)
    assert report.ratio([8, 9], [None, None]) is None
    assert report.ratio([], [1]) is None


def _figures(mine, base=10e-6, **others):
    figures = {'lomond': [mine] * 3, '0.3.4': [base] * 3}
    figures.update((name.replace('_', '-'), [figure] * 3) for name, figure in others.items())
    return figures


@pytest.mark.parametrize('name, python, mine, reached', [
    ('receive-32', '3.11', 0.9e-6, False), ('receive-32', '3.11', 0.8e-6, True),
    ('receive-32', '3.13', 0.9e-6, True),                                           # 10 times is enough here
    ('receive-32', '2.7', 1.9e-6, True), ('receive-32', '2.7', 2.1e-6, False),      # 5 times
    ('receive-16k-ascii', '2.7', 9e-6, True), ('receive-16k-ascii', '2.7', 11e-6, False),   # as fast as 0.3.4
    ('memory-idle', '3.11', 30 * 1024, True), ('memory-idle', '3.11', 33 * 1024, False),
    ('memory-peak', '3.11', 2.04 * 2 ** 24, True), ('memory-peak', '3.11', 2.1 * 2 ** 24, False),
    ('wake-ups', '3.11', 4, True), ('wake-ups', '3.11', 5, False)])
def test_verdict(name, python, mine, reached):
    assert report.judge(name, python, _figures(mine)).reached is reached


def test_a_send_may_be_held_up_by_its_system_call():
    assert not report.judge('send-32', '3.11', _figures(8e-6, limit=3.9e-6)).reached    # no slow call
    assert not report.judge('send-32', '3.11', _figures(8e-6, limit=6e-6)).reached      # 75 % of the limit
    verdict = report.judge('send-32', '3.11', _figures(8e-6, limit=7e-6))
    assert verdict.reached and verdict.remark == '88 % of what the limit reaches'
    assert not report.judge('receive-32', '3.11', _figures(8e-6, limit=7e-6)).reached   # sends only


def test_no_verdict_without_figures():
    assert report.judge('receive-32', '3.11', {'0.3.4': [1e-6]}) is None
    assert report.judge('receive-32', '3.11', {'lomond': [1e-6], '0.3.4': [None]}) is None


def test_who_is_better():
    figures = _figures(1e-6, wsproto=0.5e-6, websockets=0.99e-6, picows=0.1e-6, limit=0.1e-6,
                       websocket_client=3e-6)
    assert report.beaten_by('receive-32', figures) == [('wsproto', 2.0)]


def test_table_and_summary():
    results = {'receive-32': _figures(2e-6, wsproto=1e-6), 'memory-idle': _figures(20 * 1024, 100 * 1024)}
    rows = report.make_rows('3.11', results, ['lomond', '0.3.4', 'wsproto', 'picows'])
    assert rows[0] == ['workload', '0.3.4', 'lomond', 'x 0.3.4', 'spread', 'goal', '', 'wsproto']
    assert rows[1] == ['receive 32 B text', '10 us', '2 us', '5x', '5 - 5', '12x', 'NO', '10x']
    assert rows[2] == ['an idle connection, of 500', '100.0 KiB', '20.0 KiB', '-', '-', '32.0 KiB', 'yes',
                       '-']
    table = report.format_table(rows).split('\n')
    assert len(table) == 6 and table[0] == table[2] == table[5]
    assert report.summary('3.11', results) == [
        'short: receive-32: 5x of 12x', 'behind: receive-32: wsproto is 2.00 times better']
    assert len(report.summary('3.11', {'receive-32': _figures(0.5e-6)})) == 1
    docs = report.format_for_docs('3.11', results, ['lomond', '0.3.4', 'wsproto', 'picows'])
    beside, others = docs.rstrip().split('\n\n')
    assert 'receive 32 B text           10 us      2 us      5x       5-5     12x       NO' in beside
    assert [line.split()[-2:] for line in others.split('\n')[1:5:2]] == [['lomond', 'wsproto'], ['5x', '10x']]
    assert not any(line.endswith(' -') or ' - ' in line for line in docs.split('\n'))     # '-' starts a list


def test_parts_are_compared_with_the_limit():
    mib = 1024.0 * 1024
    results = {'parts-receive': {'lomond': [[0.3, 3 * mib], None, [0.26, 5 * mib]], 'limit': [[0.2, 0]] * 3},
               'parts-send': {'lomond': [[1.2, mib]], 'before': [[1.5, mib]], 'limit': [[1.0, 0]]}}
    rows = report.make_parts_rows('3.11', results)
    assert rows[1][3:] == ['1.4x', '1.3 - 1.5', '1.5x', '4.0 MiB', '8 MiB', 'yes']
    assert rows[2][3:] == ['1.2x', '1.2 - 1.2', '1.1x', '1.0 MiB', '8 MiB', 'NO']
    assert report.summary('3.11', results) == [
        'before: parts-send: now 0.800 times the figure before (0.800 - 0.800)',
        'short: parts-send: 1.2x of the limit, 1.0 MiB']
    assert len(report.make_rows('3.11', results, ['lomond'])) == 1


def test_aio_is_compared_with_others():
    results = {'receive-32': {'lomond-aio': [0.5e-6], 'aiohttp': [1e-6], 'websockets-asyncio': [1e-6]}}
    assert report.summary('3.11', results) == [
        'lomond-aio: receive-32: 0.50 times websockets-asyncio (at most 0.35): NO',
        'lomond-aio: receive-32: 0.50 times aiohttp (at most 1)']


@pytest.mark.parametrize('name', ['parts-receive-deflate', 'parts-receive'])
def test_payload_of_parts_can_be_repeated(name):
    workload, message = workloads.BY_NAME[name], b'spam and eggs' * 50
    payload = workloads.parts_payload(workload, message) * 3
    if workload.deflate:
        payload = zlib.decompressobj(-15).decompress(payload[:-4] + b'\0\0\xff\xff')
    assert payload == message * 3
    assert workloads.frame_bytes(300, 126) == 2 * (126 + 4) + 48 + 2
    assert workloads.frame_bytes(300, None) == 304


def test_plot():
    results = {'receive-32': _figures(1e-6), 'send-32': _figures(20e-6), 'memory-idle': _figures(1, 2)}
    svg = ElementTree.fromstring(report.plot('a < b', results, ['lomond', '0.3.4', 'picows']))
    texts = [element.text for element in svg.iter('{http://www.w3.org/2000/svg}text')]
    assert 'a < b' in texts and 'lomond' in texts and 'picows' not in texts
    assert '0.5x' in texts and '16x' in texts and '32x' not in texts
    circles = list(svg.iter('{http://www.w3.org/2000/svg}circle'))
    assert len(circles) == 2 + 4                # the legend; two rows of CPU time
    assert report.plot('nothing', {}, []).startswith('<svg')


def test_plot_ends_somewhere():
    results = {'receive-32': _figures(1e-6, limit=1e-9, wsproto=1.0)}
    svg = report.plot('', results, ['lomond', '0.3.4', 'wsproto', 'limit'])
    assert '>0.25x or less<' in svg and '>32x or more<' in svg and '64x' not in svg
    assert '<title>limit: 10000x</title>' in svg


def test_sum_of_a_cycle():
    assert workloads.sum_cycle([1, 2, 3], 0, 0) == 0
    assert workloads.sum_cycle([1, 2, 3], 0, 3) == 6
    assert workloads.sum_cycle([1, 2, 3], 2, 3) == 6
    assert workloads.sum_cycle([1, 2, 3], 5, 8) == 3 + 1 + 2 + 3 + 1 + 2 + 3 + 1


def test_names_and_messages():
    assert len(workloads.BY_NAME) == len(workloads.WORKLOADS) == 37
    for workload in workloads.WORKLOADS:
        assert workload.messages is None or workload.messages in workloads.MESSAGES
        for python in '2.7', '3.8', '3.11', '3.13':
            assert workloads.goal(workload, python) >= 1


@pytest.mark.parametrize('name, size', [
    ('text-32', 32), ('text-128', 128), ('text-1k', 1024), ('mixed-16k', 16384), ('binary-1k', 1024)])
def test_messages_have_their_size(name, size):
    messages = workloads.MESSAGES[name]()
    assert set(len(message) for message in messages) == {size}
    assert len(set(messages)) == len(messages)          # all differ
    if not name.startswith('binary'):
        for message in messages[:10]:
            message.decode('utf-8')


@pytest.mark.parametrize('name', ['receive-32', 'receive-1k-text', 'receive-16k-mixed', 'receive-1k-binary'])
def test_streams_are_what_they_should_be(name):
    workload = workloads.BY_NAME[name]
    messages = workloads.MESSAGES[workload.messages]()[:50]
    events = list(open_client().receive(b''.join(workloads.encode_stream(workload, messages))))
    got = [event.text.encode('utf-8') if workload.kind == 'text' else event.data for event in events]
    assert got == messages


def test_fragments():
    workload = workloads.BY_NAME['receive-16m-fragments']._replace(fragment=1000)
    stream = workloads.encode_stream(workload, [b'x' * 4500])
    assert len(stream) == 1 and len(stream[0]) == 4500 + 5 * 4
    event, = open_client().receive(stream[0])
    assert event.data == b'x' * 4500


def test_a_compressed_stream_can_be_repeated():
    workload = workloads.BY_NAME['deflate-receive']
    messages = workloads.MESSAGES['json-1k']()[:60]
    assert all(900 < len(message) < 1100 for message in messages)
    stream = workloads.encode_stream(workload, messages)
    inflater = zlib.decompressobj(-15)
    for _ in range(3):
        for encoded, message in zip(stream, messages):
            header = 4 if encoded[1] == 126 else 2
            assert encoded[0] == 0xC1
            assert inflater.decompress(encoded[header:] + b'\0\0\xff\xff') == message


@pytest.mark.skipif(sys.platform == 'win32', reason='its wire is a pair of sockets that poll() finds ready')
def test_layers():
    """They use internals of the library; a change there has to show here."""
    path = os.path.join(CHECKOUT, 'benchmarks', 'layers.py')
    output = subprocess.check_output([sys.executable, path, '--repeat', '1'])
    rows = dict((line[:24].strip(), line[24:].split()) for line in output.decode('ascii').split('\n'))
    for name in ('slice and decode alone', 'the parser', 'the core', 'the driver', 'the session',
                 "the program's loop"):
        assert len(rows[name]) == 2 and all(int(cell) > 0 for cell in rows[name])
    sending = [line.split() for line in output.decode('ascii').split('\n') if line.startswith(
        ('the frame', 'the encoder', 'the writer', 'the session ', 'send_text'))][1:]
    assert len(sending) == 5 and all(int(cell) > 0 for row in sending for cell in row[-2:])


def test_many_are_judged():
    many = import_from('benchmarks', 'many')
    figures = many.Figures()
    for one, blocking in (20e-6, 10e-6), (13e-6, 10e-6), (12e-6, 10e-6):
        figures.add(1000, 'group', {'one': one, 'memory': 10 * 1024, 'descriptors': 5})
        figures.add(1, 'lomond', {'one': blocking})
    figures.add(1000, 'aiohttp', {'memory': 20 * 1024})
    assert many.judge(figures, 1000)[1:] == [
        ['group: memory each', '10.0 KiB', '13.0 KiB', 'yes'],
        ['group: memory / aiohttp', '0.50x', '1.00x', 'yes'],
        ['group: one at a time / blocking loop', '1.30x', '1.30x', 'yes'],
        ['group: descriptors beyond one each', '5', '4', 'NO']]
    assert [row[:4] for row in many.make_rows(figures, [1, 1000], ['lomond', 'group'])[1:]] == [
        ['1', 'lomond', '-', '10.0 us'], ['1,000', 'group', '10.0 KiB', '13.0 us']]


# -- latency and instructions

def test_latency():
    latency = import_from('benchmarks', 'latency')
    times = [number * 1e-5 for number in range(1, 101)]
    figures = latency.summarize(times[::-1], 2, 0.004)
    assert figures == {'median': 51e-5, 'p99': 1e-3, 'late': 0.02, 'cpu': 4e-5}
    assert latency.percentile([3], 0.99) == 3
    assert latency.make_rows({'lomond': [None, figures], 'limit': [None]}, ['limit', 'lomond']) == [
        ['client', 'median', '99 %', 'CPU', 'late'], ['lomond', '510 us', '1000 us', '40 us', '2.0 %']]


def test_latency_is_measured_from_its_time(monkeypatch):
    """A round trip of 3 ms, at 500 a second: each message but the first is late."""
    job = import_from('benchmarks/clients', 'job')
    now = [0.0]
    monkeypatch.setattr(job.time, 'perf_counter', lambda: now[0])
    monkeypatch.setattr(job.time, 'sleep', lambda seconds: now.append(seconds))

    class Pace(object):
        warm, count, rate, late = 1, 3, 500, 0.0005
        begin = end = staticmethod(lambda: None)
        result = {}
    for _ in job.turns(Pace):
        now[0] += 0.003
    assert [round(seconds, 6) for seconds in Pace.result['times']] == [0.003] * 3
    assert Pace.result['late'] == 2 and len(now) == 1


def test_instructions():
    counts = import_from('benchmarks', 'instructions')
    report_of_valgrind = '==12== \n==12== Events    : Ir\n==12== Collected : 123456\n==12== \n'
    assert counts.parse_collected(report_of_valgrind) == 123456
    with pytest.raises(counts.Failed, match='no instructions: valgrind: oops'):
        counts.parse_collected('valgrind: oops')
    assert counts.per_turn((1000, 5000000), (6000, 20000000)) == 3000
    rows, bad = counts.compare({'a': 1000, 'b': 1000, 'c': 1000}, {'a': 1049, 'b': 1051, 'c': 900, 'd': 1})
    assert rows[1:] == [['a', '1000', '1049', '+4.9%'], ['b', '1000', '1051', '+5.1%'],
                        ['c', '1000', '900', '-10.0%'], ['d', 'none', '1', 'none']]
    assert [line.split(':')[0] for line in bad] == ['b', 'c', 'd'] and '--write' in bad[1]
    child = import_from('benchmarks', 'instructions_child')
    assert set(child.PATHS) == set(name for name, _, _ in counts.COUNTS)
    for function, size in child.PATHS.values():
        function(size, 3)


def test_many_from_json(tmp_path):
    """The figures of a run are shown and plotted again; the blocking loop has one
    connection."""
    figures = {'3.13': [[1, 'lomond', 'one', [46e-6]], [5000, 'group', 'one', [66e-6, 68e-6, 67e-6]],
                        [5000, 'group', 'memory', [9600]], [5000, 'picows', 'memory', [29000]]]}
    kept = tmp_path / 'many.json'
    kept.write_text(json.dumps(figures))
    command = [sys.executable, os.path.join(CHECKOUT, 'benchmarks', 'many.py'), '--from-json', str(kept),
               '--connections', '5000', '--plot', str(tmp_path / 'many-{}.svg')]
    output = subprocess.check_output(command).decode('utf-8')
    assert '67.0 us' in output and 'group: memory each  ' in output and '9.4 KiB' in output
    texts = [node.text for node in ElementTree.parse(str(tmp_path / 'many-3.13.svg')).iter() if node.text]
    assert '28.3 KiB' in texts and texts.count('group') == 2 and 'lomond' not in texts
