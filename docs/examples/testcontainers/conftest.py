import pytest
from taskcluster_container import TaskclusterContainer


@pytest.fixture(scope="session")
def box():
    with TaskclusterContainer() as started:
        yield started
