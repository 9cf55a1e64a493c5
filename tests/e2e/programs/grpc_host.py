"""A process with gRPC, protobuf and OpenSSL of its own, used by its threads while others run containers.

    grpc_host.py URI ARCHIVE before|after

Imports them before or after pouch; ends with 0 when everything has worked.
"""

import importlib
import sys
import threading
import traceback
from concurrent import futures

MODULES = ["grpc", "google.protobuf.struct_pb2", "cryptography.fernet", "cryptography.hazmat.primitives.asymmetric.ec",
           "cryptography.hazmat.primitives.hashes"]
ROUNDS = 12
FAILED = []


def imported(first):
    """The modules, imported first or after pouch."""
    names = [*MODULES, "pouch"] if first else ["pouch", *MODULES]
    return {name: importlib.import_module(name) for name in names}


class Echo:
    """A gRPC server that answers with what it was sent, a Struct of protobuf."""

    def __init__(self, modules):
        self.grpc, self.struct = modules["grpc"], modules["google.protobuf.struct_pb2"].Struct
        handler = self.grpc.unary_unary_rpc_method_handler(
            lambda request, context: request, request_deserializer=self.struct.FromString,
            response_serializer=self.struct.SerializeToString)
        self.server = self.grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers([self.grpc.method_handlers_generic_handler("test.Echo", {"Say": handler})])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def use(self):
        with self.grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            say = channel.unary_unary("/test.Echo/Say", request_serializer=self.struct.SerializeToString,
                                      response_deserializer=self.struct.FromString)
            for number in range(20):
                sent = self.struct()
                sent.update({"number": number, "text": "x" * 1000})
                assert say(sent, timeout=60) == sent


def encrypt(modules):
    fernet = modules["cryptography.fernet"].Fernet
    box = fernet(fernet.generate_key())
    assert box.decrypt(box.encrypt(b"secret" * 1000)) == b"secret" * 1000
    curves, hashes = modules[MODULES[3]], modules[MODULES[4]]
    key = curves.generate_private_key(curves.SECP256R1())
    signature = key.sign(b"text", curves.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"text", curves.ECDSA(hashes.SHA256()))


def repeat(what, *arguments):
    try:
        for _ in range(ROUNDS):
            what(*arguments)
    except BaseException:  # pylint: disable=broad-except
        FAILED.append(traceback.format_exc())


def run_container(client):
    assert client.containers.run("busybox", ["cat"], network="none", remove=True, stdin=b"y" * 50000) == b"y" * 50000


def main():
    uri, archive, order = sys.argv[1:]
    modules = imported(order == "before")
    echo = Echo(modules)
    with modules["pouch"].Client(uri) as client:
        client.images.load_file(archive)
        work = [(run_container, client)] * 4 + [(echo.use,)] * 3 + [(encrypt, modules)]
        threads = [threading.Thread(target=repeat, args=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    echo.server.stop(None).wait()
    print("\n".join(FAILED), file=sys.stderr)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
