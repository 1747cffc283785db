from __future__ import annotations

import copy
import os

import pytest
from own_process import output_of

from handseg.runtime.forks import Mutex

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

BEGIN = """
import multiprocessing, os, threading, time, warnings
from handseg.runtime.forks import Mutex, forks_wait, in_forked_child, never_free
warnings.filterwarnings("ignore", category=DeprecationWarning)

def child(work):
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()

entered, leave = threading.Event(), threading.Event()

def elsewhere(block):
    def hold():
        with block:
            entered.set()
            leave.wait()
            time.sleep(0.2)
            print("left", flush=True)
    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    return thread
"""


def test_a_mutex_that_another_thread_holds_is_open_in_a_child() -> None:
    code = """
mutex = Mutex()
thread = elsewhere(mutex)
def work():
    with mutex:
        print("in", flush=True)
child(work)
leave.set()
thread.join()
"""
    assert output_of(BEGIN + code).split() == ["in", "left"]


def test_a_copy_of_a_held_mutex_is_open() -> None:
    mutex = Mutex()
    with mutex, copy.deepcopy(mutex):
        pass


def test_a_fork_waits_for_native_code() -> None:
    code = """
thread = elsewhere(forks_wait())
leave.set()
child(lambda: print("forked", flush=True))
with forks_wait(), forks_wait():
    print("again")
"""
    assert output_of(BEGIN + code).split() == ["left", "forked", "again"]


def test_native_code_that_a_fork_waits_for_may_use_threads_and_the_log() -> None:
    code = """
import logging
from concurrent.futures import ThreadPoolExecutor
def call():
    with ThreadPoolExecutor(1) as pool, forks_wait():
        entered.set()
        time.sleep(0.5)
        pool.submit(int).result()
        logging.getLogger("new").isEnabledFor(10)
thread = threading.Thread(target=call)
thread.start()
entered.wait()
child(lambda: print("forked", flush=True))
"""
    assert output_of(BEGIN + code, timeout=60) == "forked"


def test_a_child_may_fork_and_call_native_code() -> None:
    code = """
def work():
    with forks_wait():
        pass
    child(lambda: print("grandchild", flush=True))
child(work)
"""
    assert output_of(BEGIN + code) == "grandchild"


def test_an_object_that_is_gone_is_not_called() -> None:
    code = """
class Owner:
    pass

kept, gone = Owner(), Owner()
kept.name, gone.name = "kept", "gone"
for owner in kept, gone:
    in_forked_child(owner, lambda one: print(one.name, flush=True))
del owner, gone
child(lambda: None)
"""
    assert output_of(BEGIN + code) == "kept"


def test_what_is_never_freed() -> None:
    code = """
class Loud:
    def __del__(self):
        print("freed")

one, other = Loud(), Loud()
never_free(one)
del one, other
"""
    assert output_of(BEGIN + code) == "freed"
