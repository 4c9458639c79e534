"""The verdicts of compliance/run.py on made-up results, without wstest or lomond."""

from __future__ import absolute_import, division, unicode_literals

import pytest
from support.paths import import_from

pytestmark = pytest.mark.checkout

verdict = import_from('compliance', 'verdict')


def results(behavior='OK', behavior_close='OK'):
    return {'behavior': behavior, 'behaviorClose': behavior_close, 'duration': 1, 'reportfile': 'x.json'}


CASES = ['1.1.1', '1.1.2', '1.2.1', '2.1', '2.10', '2.9', '7.1.6', '7.13.1', '10.1.1', '12.1.1', '12.1.11']


@pytest.mark.parametrize('case, behavior, behavior_close, passes', [
    ('1.1.1', 'OK', 'OK', True), ('1.1.1', 'NON-STRICT', 'OK', False), ('1.1.1', 'FAILED', 'OK', False),
    ('1.1.1', 'UNIMPLEMENTED', 'OK', False), ('1.1.1', 'INFORMATIONAL', 'OK', False),
    ('1.1.1', 'ok', 'OK', False), ('1.1.1', None, 'OK', False),
    ('1.1.1', 'OK', 'UNCLEAN', False), ('1.1.1', 'OK', 'WRONG CODE', False),
    ('1.1.1', 'OK', 'FAILED BY CLIENT', False), ('1.1.1', 'OK', 'INFORMATIONAL', False),
    ('1.1.1', 'OK', None, False),
    ('7.1.6', 'INFORMATIONAL', 'INFORMATIONAL', True), ('7.13.1', 'INFORMATIONAL', 'INFORMATIONAL', True),
    ('7.13.2', 'INFORMATIONAL', 'OK', True), ('7.13.2', 'OK', 'OK', True),
    ('7.13.2', 'NON-STRICT', 'INFORMATIONAL', False), ('7.13.2', 'INFORMATIONAL', 'UNCLEAN', False)])
def test_one_case(case, behavior, behavior_close, passes):
    verdict_of_one = verdict.judge({'lomond': {case: results(behavior, behavior_close)}}, 'lomond', [case])
    assert verdict_of_one.passed == ([case] if passes else [])
    assert [problem.case for problem in verdict_of_one.problems] == ([] if passes else [case])
    assert bool(verdict_of_one.informational) == (passes and 'INFORMATIONAL' in (behavior, behavior_close))


def test_a_problem_says_what_is_wrong():
    index = {'lomond': {'6.4.1': results('NON-STRICT', 'UNCLEAN')}}
    problem, = verdict.judge(index, 'lomond', ['6.4.1']).problems
    assert problem == ('6.4.1', 'NON-STRICT', 'UNCLEAN', 'behavior is NON-STRICT; behaviorClose is UNCLEAN')


def test_a_case_without_a_result_fails():
    judged = verdict.judge({'lomond': {'1.1.1': results()}}, 'lomond', ['1.1.1', '1.1.2'])
    assert judged.passed == ['1.1.1']
    assert judged.problems == [('1.1.2', None, None, 'there is no result')]


@pytest.mark.parametrize('index', [{}, {'lomond': {}}, {'somebody': {'1.1.1': results()}}])
def test_no_results_at_all_fail(index):
    judged = verdict.judge(index, 'lomond', ['1.1.1'])
    assert (judged.passed, [problem.case for problem in judged.problems]) == ([], ['1.1.1'])


def test_a_remark_fails_a_case_that_autobahn_likes():
    remarks = {'1.1.1': 'the client ended'}
    judged = verdict.judge({'lomond': {'1.1.1': results()}}, 'lomond', ['1.1.1'], remarks)
    assert judged.problems == [('1.1.1', 'OK', 'OK', 'the client ended')]


def test_a_result_that_nobody_asked_for_is_judged():
    judged = verdict.judge({'lomond': {'1.1.1': results(), '2.1': results('FAILED')}}, 'lomond', ['1.1.1'])
    assert [problem.case for problem in judged.problems] == ['2.1']


def test_cases_are_sorted_as_numbers():
    judged = verdict.judge({'lomond': {case: results() for case in CASES}}, 'lomond', reversed(CASES))
    assert judged.passed == [
        '1.1.1', '1.1.2', '1.2.1', '2.1', '2.9', '2.10', '7.1.6', '7.13.1', '10.1.1', '12.1.1', '12.1.11']


@pytest.mark.parametrize('patterns, selected', [
    (['*'], sorted(CASES, key=lambda case: [int(part) for part in case.split('.')])),
    (['1.*'], ['1.1.1', '1.1.2', '1.2.1']),
    (['1*'], ['1.1.1', '1.1.2', '1.2.1', '10.1.1', '12.1.1', '12.1.11']),
    (['12.1.1'], ['12.1.1']),
    (['12.1.1*'], ['12.1.1', '12.1.11']),
    (['2.*', '1.1.*', '1.1.1', '2.9'], ['1.1.1', '1.1.2', '2.1', '2.9', '2.10']),
])
def test_patterns(patterns, selected):
    assert verdict.select_cases(patterns, CASES) == selected


@pytest.mark.parametrize('pattern', ['*.1', '1.*.1', '1.1.?', '[12].1', '', '.', '1..1', 'x', '1.1.1 ', '**'])
def test_patterns_that_are_none(pattern):
    with pytest.raises(ValueError) as caught:
        verdict.select_cases([pattern], CASES)
    assert 'is not a pattern of cases' in '{}'.format(caught.value)


@pytest.mark.parametrize('pattern', ['3.*', '1.1', '1.1.3', '11*'])
def test_patterns_that_match_nothing(pattern):
    with pytest.raises(ValueError) as caught:
        verdict.select_cases(['1.1.1', pattern], CASES)
    assert '{} matches no case'.format(pattern) in '{}'.format(caught.value)


def test_the_quick_selection_is_made_of_patterns():
    cases = [pattern.replace('*', '1') for pattern in verdict.QUICK]
    assert set(verdict.select_cases(verdict.QUICK, cases)) == set(cases)


def test_table():
    assert verdict.format_table([('Python', 'OK'), ('3.13.0', 514), ('2.7.18', 7)]) == (
        'Python  OK\n'
        '------  ---\n'
        '3.13.0  514\n'
        '2.7.18  7')
