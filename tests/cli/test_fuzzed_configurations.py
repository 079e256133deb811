"""Random configurations through the command line: a valid result, or exit status 2 or 3 with one message."""

from hypothesis import HealthCheck, given, settings

from tests.cli.fuzzing import cases, played


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_whatever_a_configuration_says(case):
    played(case)
