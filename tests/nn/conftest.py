import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks spend their time waiting for threads; one is faster, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
