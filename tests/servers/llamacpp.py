"""llama.cpp's own server on a loopback port, as `llama-server -m FILE.gguf --port PORT -np SLOTS -c CONTEXT` starts it.

Everything that a person would not set is left as it comes: samplers (top-k 40, top-p 0.95, min-p 0.05), the prompt cache, the list of models.
"""

import argparse
import os
import time

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--context", type=int, default=8192, help="tokens, shared by the slots")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is no longer the parent")
    given = parser.parse_args()
    p = xllamacpp.CommonParams()
    p.model.path = given.weights
    p.hostnames, p.port = ["127.0.0.1"], given.port
    p.n_parallel, p.n_ctx = given.slots, given.context
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 2
    p.verbosity = 4  # one line for each answer, by which the tests count
    server = xllamacpp.Server(p)
    print(server.listening_address, flush=True)
    while not given.parent or os.getppid() == given.parent:
        time.sleep(1.0)


if __name__ == "__main__":
    main()
