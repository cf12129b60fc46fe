import threading

from serd.tasks import TaskThread

from .mosquitto import PATIENCE_S


def test_of_one_name_only_the_latest_waits():
    thread, done, go = TaskThread("tasks"), [], threading.Event()
    thread.start()
    begun = threading.Event()
    thread.give("first", lambda: (begun.set(), go.wait(PATIENCE_S)))
    assert begun.wait(PATIENCE_S)
    for number in range(10_000):  # whatever comes while one task takes its time
        thread.give(number % 3, lambda n=number: done.append(n))
    assert len(thread._tasks) == 3
    assert not thread.wait(lambda: True, 0.01)
    go.set()
    assert thread.wait(lambda: True, PATIENCE_S)
    assert done == [9_997, 9_998, 9_999]
    thread.finish(PATIENCE_S)
    assert not thread.alive


def test_what_was_given_before_the_end_is_done():
    thread, done = TaskThread("tasks"), []
    thread.start()
    thread.give("bad", lambda: 1 / 0)
    for number in range(100):
        thread.give(number, lambda n=number: done.append(n))
    thread.finish(PATIENCE_S)
    assert done == list(range(100))
