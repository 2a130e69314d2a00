"""redis-py against the decision service: PORT TOKEN PROTOCOL."""

import sys
from concurrent.futures import ThreadPoolExecutor

import redis

port, token, protocol = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
# What is sent again is charged again.
patient = {"socket_timeout": None, "socket_connect_timeout": None, "retry": None}
client = redis.Redis(port=port, password=token, protocol=protocol, client_name="tests", **patient)
name = f"py{protocol}"

assert client.ping()
assert client.execute_command("CL.THROTTLE", f"{name}-one", 15, 30, 60) == [0, 16, 15, -1, 2]

with client.pipeline(transaction=False) as pipeline:
    for _ in range(10):
        pipeline.execute_command("CL.THROTTLE", f"{name}-pipeline", 4, 5, 60)
    assert [five[0] for five in pipeline.execute()] == [0] * 5 + [1] * 5


def ask(_):
    return client.execute_command("CL.THROTTLE", f"{name}-threads", 4, 5, 60)[0]


with ThreadPoolExecutor(100) as threads:
    assert sorted(threads.map(ask, range(100))) == [0] * 5 + [1] * 95

told = client.execute_command("TOLLGATE.CHECK", "per-user", name, "COST", 2)
if protocol == 2:
    told = dict(zip(told[::2], told[1::2]))
assert (told[b"allowed"], told[b"remaining"]) == (1, 3), told

try:
    client.get("nothing")
    raise AssertionError("there are no values here")
except redis.ResponseError as error:
    assert "unknown command" in str(error), error
assert client.delete(f"{name}-one") == 1

wrong = redis.Redis(port=port, password="wrong" * 8, protocol=protocol)
try:
    wrong.ping()
    raise AssertionError("a wrong password")
except redis.AuthenticationError:
    pass
print("fine")
