"""The run of one role of lomond on one interpreter: its processes and its verdict.

Knows nothing of: where the interpreters and environments come from.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import contextlib
import io
import json
import os
import queue
import sys
import time

from children import Child
from verdict import judge

HERE = os.path.dirname(os.path.abspath(__file__))

#: The name under which Autobahn stores the results.
AGENT = 'lomond'

#: After this many hangs or crashes, the client is not restarted.
MOST_FAILURES = 5

#: At most this many problems are listed, for a run that failed altogether.
MOST_PROBLEMS = 30

#: Time for wstest to write 517 reports in HTML and JSON, which takes some seconds.
REPORT_SECONDS = 300

#: Time for a child to start, and for wstest to report the number of cases.
BEGIN_SECONDS = 60

#: Progress is printed at least this often.
PROGRESS_SECONDS = 20


class RunError(Exception):
    """A run failed. The message is shown to the user."""


def say(*words):
    """Print without buffering, so that CI shows the progress."""
    print(*words)
    sys.stdout.flush()


class Run(object):
    """One role on one interpreter.

    :param wstest: path of the Python with autobahntestsuite
    :param subject: path of the Python that runs the library
    :param interpreter: the :class:`interpreters.Interpreter` under test
    :param options: the parsed command line
    :param cases: ids of the cases to run
    :param reports: folder for the reports
    """

    def __init__(self, wstest, subject, interpreter, options, cases, reports):
        self.interpreter = interpreter
        self.description = ''
        self.seconds = 0.0
        self.index = {}
        self.remarks = {}
        self.verdict = None
        self._section = None
        self._next_progress = 0.0
        self._wstest = wstest
        self._subject = subject
        self._options = options
        self._cases = cases
        self._reports = reports
        self._stream_from = [] if options.stream_from is None else ['{}'.format(options.stream_from)]
        self._environ = {} if options.target == 'original' else {'PYTHONPATH': options.target}

    def run(self):
        """Run the cases and judge them. If nothing can be run, no case has passed."""
        began = time.monotonic()
        try:
            if self._options.role == 'client':
                self._run_client()
            else:
                self._run_server()
        except RunError as error:
            say('  this run failed: {}'.format(error))
        self.seconds = time.monotonic() - began
        with contextlib.suppress(IOError, ValueError):
            with io.open(os.path.join(self._reports, 'index.json'), encoding='utf-8') as index:
                self.index = json.load(index)
        self.verdict = judge(self.index, AGENT, self._cases, self.remarks)

    def _spec(self, **spec):
        spec.update(
            {'outdir': self._reports, 'cases': self._cases, 'exclude-cases': [], 'exclude-agent-cases': {}})
        path = os.path.join(self._reports, 'spec.json')
        with io.open(path, 'w', encoding='utf-8') as spec_file:
            spec_file.write(json.dumps(spec))
        return path

    def _fuzzer(self, *arguments):
        return Child([self._wstest, '-u', os.path.join(HERE, 'wstest_local.py')] + list(arguments))

    def _program(self, name, *arguments):
        return Child([self._subject, '-u', os.path.join(HERE, name)] + list(arguments), **self._environ)

    def _run_client(self):
        with self._fuzzer('fuzzingserver', self._spec()) as fuzzer:
            port = _expect(fuzzer, 'listening', 'wstest')
            url = 'ws://127.0.0.1:' + port
            first, failures = 1, 0
            while first is not None:
                with self._program('echo_client.py', url, AGENT, '{}'.format(first),
                                   *self._stream_from) as client:
                    self._describe(_expect(client, 'subject', 'the echo client'))
                    first = self._follow(client)
                if first is not None:
                    failures += 1
                    if failures == MOST_FAILURES and first <= len(self._cases):
                        say('  the client hung or died {} times; giving up'.format(failures))
                        first = len(self._cases) + 1
                    elif failures > MOST_FAILURES:
                        raise RunError('the reports were not written')

    def _follow(self, client):
        """Follow a client through its cases.

        :returns: the number of the case to restart with, or None if the client has
            finished
        """
        number, limit = None, BEGIN_SECONDS
        while True:
            try:
                message = client.next_message(limit)
            except queue.Empty:
                trouble = 'the client was silent for {:.0f} s, and was stopped'.format(limit)
                message = None
            else:
                trouble = 'the client ended'
            if message is None:
                status = client.wait(1)
                if status is not None:
                    trouble += ' with status {}'.format(status)
                say('  ' + trouble)
                for line in client.tail:
                    say('    | ' + line)
                if number is None:
                    raise RunError(trouble)
                if number <= len(self._cases):
                    self.remarks[self._cases[number - 1]] = trouble
                return number + 1
            word, rest = message
            if word == 'done':
                return None
            if word == 'count' and int(rest) != len(self._cases):
                raise RunError('wstest has {} cases instead of {}'.format(rest, len(self._cases)))
            elif word == 'case':
                number, limit = int(rest), self._options.limit
                self._progress(number)
            elif word == 'remark':
                self.remarks[self._cases[number - 1]] = rest
            elif word == 'took' and self._options.verbose:
                say('  {:<10}{} s'.format(self._cases[number - 1], rest))
            elif word == 'note' and self._options.verbose:
                say('  {:<10}{}'.format(self._cases[number - 1], rest))
            elif word == 'reports':
                number, limit = len(self._cases) + 1, REPORT_SECONDS

    def _run_server(self):
        with contextlib.ExitStack() as stack:
            url = self._options.url
            if url is None:
                server = stack.enter_context(self._program('echo_server.py', self._options.server,
                                                            *self._stream_from))
                self._describe(_expect(server, 'subject', 'the echo server'))
                url = _expect(server, 'url', 'the echo server')
            else:
                self.description = url
            spec = self._spec(servers=[{'agent': AGENT, 'url': url}])
            fuzzer = stack.enter_context(
                self._fuzzer('fuzzingclient', spec, '{}'.format(self._options.limit)))
            number = 0
            while True:
                try:
                    line = fuzzer.next_line(self._options.limit + REPORT_SECONDS)
                except queue.Empty:
                    raise RunError('wstest was silent for too long')
                if line is None:
                    break
                if line.startswith('Running test case ID '):
                    number += 1
                    self._progress(number)
                elif line.startswith('compliance: cut '):
                    self.remarks[line.split()[2]] = 'the connection was cut after {:.0f} s'.format(
                        self._options.limit)
                elif line.startswith('Connection to '):
                    say('  ' + line)
            if fuzzer.wait(5) != 0:
                raise RunError('wstest failed:\n' + '\n'.join(fuzzer.tail))

    def _describe(self, text):
        if not self.description:
            self.description = text
            say('  ' + text)

    def _progress(self, number):
        """Print the progress at each new section, and at regular intervals."""
        case = self._cases[number - 1] if number <= len(self._cases) else '?'
        section, now = case.split('.')[0], time.monotonic()
        if section == self._section and now < self._next_progress:
            return
        self._section, self._next_progress = section, now + PROGRESS_SECONDS
        say('  {}  {:>3}/{}  case {}'.format(time.strftime('%H:%M:%S'), number, len(self._cases), case))

    def print_problems(self):
        """Print what did not pass, with the explanation of Autobahn."""
        results = self.index.get(AGENT, {})
        for problem in self.verdict.problems[:MOST_PROBLEMS]:
            say('  not OK: {:<9}{}'.format(problem.case, problem.reason))
            name = os.path.basename(results.get(problem.case, {}).get('reportfile', ''))
            with contextlib.suppress(IOError, ValueError):
                with io.open(os.path.join(self._reports, name or '-'), encoding='utf-8') as report_file:
                    report = json.load(report_file)
                for key in 'result', 'resultClose':
                    say('    {}: {}'.format(key, report.get(key)))
        if len(self.verdict.problems) > MOST_PROBLEMS:
            say('  and {} more'.format(len(self.verdict.problems) - MOST_PROBLEMS))

    def summary(self):
        """Return the data for the JSON file."""
        return {
            'python': self.interpreter.label,
            'path': self.interpreter.path,
            'role': self._options.role,
            'subject': self.description,
            'seconds': round(self.seconds, 1),
            'passed': len(self.verdict.passed),
            'informational': self.verdict.informational,
            'failed': len(self.verdict.problems),
            'problems': [problem._asdict() for problem in self.verdict.problems],
            'cases': self.index.get(AGENT, {}),
        }


def _expect(child, word, who):
    """Wait for the first message of a child, which has to be of this kind."""
    try:
        message = child.next_message(BEGIN_SECONDS)
    except queue.Empty:
        message = None
    if message is None or message[0] != word:
        raise RunError('{} did not start:\n{}'.format(who, '\n'.join(child.tail)))
    return message[1]


def list_cases(wstest):
    """Ask wstest for the ids of its cases."""
    with Child([wstest, '-u', os.path.join(HERE, 'wstest_local.py'), 'cases']) as child:
        return json.loads(_expect(child, 'cases', 'wstest'))
