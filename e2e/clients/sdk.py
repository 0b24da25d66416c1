"""Drives the Python SDK and redis-py for the tests: reads a JSON request a line, answers a JSON line each."""

import importlib
import json
import sys
import time
from unittest import mock

import redis
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile


streams = []


def call(settings, product, version, action, params, stream=False):
    profile = ClientProfile(
        signMethod=settings["sign"],
        language=settings["language"],
        httpProfile=HttpProfile(protocol="http", endpoint=settings["address"], reqMethod=settings["method"]),
    )
    profile.unsignedPayload = settings["unsigned_payload"]
    credential = Credential(settings["secret_id"], settings["secret_key"])
    now = time.time
    with mock.patch("time.time", lambda: now() + settings["clock_skew"]):
        if settings["untyped"]:
            client = CommonClient(product, version, credential, settings["region"], profile)
            if stream:
                streams.append(client.call_sse(action, params))
                return len(streams) - 1
            return client.call_json(action, params)["Response"]
        package = f"tencentcloud.{product}.v{version.replace('-', '')}"
        client_module = importlib.import_module(f"{package}.{product}_client")
        models = importlib.import_module(f"{package}.models")
        client = getattr(client_module, f"{product.capitalize()}Client")(credential, settings["region"], profile)
        request = getattr(models, f"{action}Request")()
        request.from_json_string(json.dumps(params))
        return json.loads(getattr(client, action)(request).to_json_string())


connections = {}


def redis_command(name, connect, command):
    """Runs a command on the connection of that name, which is opened first where it is not."""
    if name not in connections:
        connections[name] = redis.Redis(**connect, single_connection_client=True, decode_responses=True)
    return connections[name].execute_command(*command)


def answer_to(request):
    if "redis" in request:
        return redis_command(**request["redis"])
    if "event" in request:
        return next(streams[request["event"]], None)
    if "watch" in request:
        return call(**request["watch"], stream=True)
    return call(**request["call"])


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": answer_to(request)}
    except TencentCloudSDKException as error:
        answer = {"refused": {"code": error.code, "message": error.message, "request_id": error.requestId}}
    except redis.RedisError as error:
        answer = {"refused": {"code": type(error).__name__, "message": str(error), "request_id": None}}
    print(json.dumps(answer), flush=True)
