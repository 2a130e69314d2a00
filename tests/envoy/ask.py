"""Asks a rate-limit service over gRPC: a question on each line of standard input, its answer on a line of standard output.

    python ask.py ADDRESS COMPILED_PROTOS [--ca FILE] [--cert FILE --key FILE]

A question is an object with one of these:
  request   a RateLimitRequest in JSON; with `timeout` in seconds, `token`, `times` (as many at the same time, of whose
            answers the overall codes are told), `raw` (bytes in hexadecimal instead of a message)
  health    the name of a service
  services  anything: the services that reflection knows, and the fields of a message if it is the name of one
  streams   anything: opens a watch of health and a reflection that go on, and tells the first status
  ended     anything: waits until the two have ended, and tells the other statuses and the code of each
"""

import argparse
import concurrent.futures
import json
import queue
import sys

import grpc
from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("protos")
parser.add_argument("--ca")
parser.add_argument("--cert")
parser.add_argument("--key")
args = parser.parse_args()

pool = DescriptorPool()
with open(args.protos, "rb") as compiled:
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled.read()).file:
        pool.Add(file)


def message(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("envoy.service.ratelimit.v3." + name))


Request, Response = message("RateLimitRequest"), message("RateLimitResponse")


def read(path):
    return open(path, "rb").read() if path else None


def channel():
    if not args.ca:
        return grpc.insecure_channel(args.address)
    credentials = grpc.ssl_channel_credentials(read(args.ca), read(args.key), read(args.cert))
    return grpc.secure_channel(args.address, credentials)


shared = channel()
PATH = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"


def ask(question):
    metadata = [("authorization", "Bearer " + question["token"])] if "token" in question else []
    timeout = question.get("timeout", 120)
    if "raw" in question:
        call = shared.unary_unary(PATH)
        return {"raw": call(bytes.fromhex(question["raw"]), timeout=timeout, metadata=metadata).hex()}
    request = json_format.ParseDict(question["request"], Request())
    call = shared.unary_unary(PATH, Request.SerializeToString, Response.FromString)
    if "times" in question:
        with concurrent.futures.ThreadPoolExecutor(question["times"]) as threads:
            asked = [threads.submit(call, request, timeout=timeout) for _ in range(question["times"])]
            codes = [Response.Code.Name(one.result().overall_code) for one in asked]
        return {"codes": codes}
    answer = call(request, timeout=timeout, metadata=metadata)
    return json_format.MessageToDict(answer)


def services_of(question):
    database = ProtoReflectionDescriptorDatabase(shared)
    told = {"services": list(database.get_services())}
    name = question["services"]
    if isinstance(name, str):
        message = DescriptorPool(database).FindMessageTypeByName(name)
        told["fields"] = {field.name: field.number for field in message.fields}
    return told


open_streams = {}


def streams(_):
    watch = health_pb2_grpc.HealthStub(shared).Watch(health_pb2.HealthCheckRequest(service=""), timeout=120)
    asked = queue.SimpleQueue()
    asked.put(reflection_pb2.ServerReflectionRequest(list_services=""))
    reflect = reflection_pb2_grpc.ServerReflectionStub(shared).ServerReflectionInfo(iter(asked.get, None), timeout=120)
    next(reflect)
    first = next(watch)
    open_streams.update(watch=watch, reflect=reflect)
    return {"status": name_of(first)}


def ended(_):
    statuses = []
    told = {"statuses": statuses}
    for name, stream in open_streams.items():
        try:
            statuses.extend(name_of(status) for status in stream if name == "watch")
        except grpc.RpcError:
            pass
        told[name] = stream.code().name
    return told


def name_of(told):
    return health_pb2.HealthCheckResponse.ServingStatus.Name(told.status)


def answer(question):
    try:
        if "streams" in question:
            return streams(question)
        if "ended" in question:
            return ended(question)
        if "health" in question:
            request = health_pb2.HealthCheckRequest(service=question["health"])
            told = health_pb2_grpc.HealthStub(shared).Check(request, timeout=120)
            return {"status": name_of(told)}
        if "services" in question:
            return services_of(question)
        return ask(question)
    except grpc.RpcError as error:
        return {"error": error.code().name, "details": error.details()}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
