"""``tools/wasm.py`` without Node: the list of skipped tests, and the pytest plugin."""

from __future__ import absolute_import, division, unicode_literals

import os
import re

import pytest
from support.paths import CHECKOUT, find_test, import_from, python3, read

pytest_plugins = [str('pytester')]
pytestmark = [python3, pytest.mark.checkout]


@pytest.fixture(scope='module')
def wasm():
    return import_from('tools', 'wasm')


@pytest.fixture(scope='module')
def inside():
    return import_from('tools', 'wasm_inside')


def test_skipped_tests_exist(wasm, inside):
    skips = inside.read_skips(wasm.SKIPS)
    assert skips
    for row in skips:
        path, _, test = row.partition('::')
        tests = re.findall(r'(?m)^ *def (test_\w+)\(', read('tests', find_test(path)))
        assert test.partition('[')[0].rpartition('::')[2] in tests, row


@pytest.mark.parametrize('text', [
    'test_a.py::test_x\n', 'test_a.py::test_x  #\n', 'test_a.py  # no threads\n', 'test_x  # no threads\n',
    'test_a.py::test_x  # one\ntest_a.py::test_x  # two\n'])
def test_wrong_row(inside, tmpdir, text):
    path = tmpdir.join('skips.txt')
    path.write('# comment\n\n' + text)
    with pytest.raises(ValueError, match=r'skips\.txt, line [34]: '):
        inside.read_skips(str(path))


def test_rows(inside, tmpdir):
    path = tmpdir.join('skips.txt')
    path.write('# comment\n\ntest_a.py::test_x  # no threads\ntest_a.py::test_y[a b]  # no fork\n')
    assert inside.read_skips(str(path)) == {
        'test_a.py::test_x': 'no threads', 'test_a.py::test_y[a b]': 'no fork'}


def run_with(inside, testdir, skips, *words):
    """Run pytest on a file of five tests with the plugin."""
    testdir.makepyfile(test_a='''
        import pytest
        @pytest.mark.parametrize('text', ['a', 'b c'])
        def test_two(text):
            assert text
        class TestGroup:
            def test_in_group(self): pass
        def test_one(): pass
        def test_last(): pass
    ''')
    return testdir.inline_run('-p', 'no:cacheprovider', *words, plugins=[inside.Skipper(skips)])


@pytest.mark.parametrize('names, skipped', [
    ([], []),
    (['test_one'], ['test_one']),
    (['test_two'], ['test_two[a]', 'test_two[b c]']),
    (['test_two[b c]', 'test_last'], ['test_two[b c]', 'test_last']),
    (['TestGroup::test_in_group'], ['TestGroup::test_in_group'])])
def test_skips_by_name(inside, testdir, names, skipped):
    result = run_with(inside, testdir, dict(('test_a.py::' + name, 'no fork') for name in names))
    passed, left_out, failed = result.listoutcomes()
    assert [report.nodeid.partition('::')[2] for report in left_out] == skipped
    assert all('WebAssembly: no fork' in report.longrepr[2] for report in left_out)
    assert len(passed) == 5 - len(skipped) and not failed


def test_unknown_name_is_an_error(inside, testdir):
    skips = {'test_a.py::test_gone': 'no fork'}
    assert run_with(inside, testdir, skips).ret == pytest.ExitCode.USAGE_ERROR
    # What was not collected cannot be judged.
    assert run_with(inside, testdir, skips, 'test_a.py::test_one').ret == 0
    assert run_with(inside, testdir, {'test_b.py::test_gone': 'no fork'}).ret == 0


def test_arguments(wasm, monkeypatch, capsys):
    options, to_pytest = wasm.parse_arguments(['--python', '3.14', '--', '-k', 'close'])
    assert options.python == ['3.14'] and to_pytest == ['-k', 'close']
    assert wasm.parse_arguments([])[0].python == sorted(wasm.RELEASES)
    with pytest.raises(SystemExit):
        wasm.parse_arguments(['--python', '2.7'])
    assert 'invalid choice' in capsys.readouterr().err
    assert wasm.resolve_targets([]) == ['tests/protocol']
    assert wasm.resolve_targets(to_pytest) == ['-k', 'close', 'tests/protocol']
    monkeypatch.chdir(os.path.join(CHECKOUT, 'tests'))
    # Relative to the checkout: the interpreter has it in another place.
    assert wasm.resolve_targets(['conftest.py::test_x', '-x']) == ['tests/conftest.py::test_x', '-x']


@pytest.mark.parametrize('answer', [None, 'v16.20.2', 'what?'])
def test_no_usable_node(wasm, tmpdir, monkeypatch, capsys, answer):
    """Nothing is installed, and the exit status says that nothing was tested."""
    if answer:
        if os.name == 'nt':
            pytest.skip('shell scripts')
        for name in ('node', 'npm'):
            script = tmpdir.join(name)
            script.write('#!/bin/sh\necho "%s"\n' % answer)
            script.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmpdir))
    monkeypatch.setattr(wasm, 'FOLDER', str(tmpdir.join('folder')))
    assert wasm.main([]) == 1
    error = capsys.readouterr().err
    assert error.startswith('it cannot be run: ') and (answer or 'must be on PATH') in error
    assert not tmpdir.join('folder').exists()
