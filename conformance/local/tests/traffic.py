"""Requests without a pause, until told to stop; prints how many were answered with 200, and what went wrong with the others.

  python3 traffic.py ADDRESS STOP-FILE     (run where the cluster's addresses answer)
"""
import collections
import http.client
import json
import os
import sys
import threading
import time

THREADS = 4
# So many requests on a connection, then a new one.
REQUESTS = 20


def main(address, stop):
    done, failures = [0] * THREADS, collections.Counter()

    def ask(number):
        while not os.path.exists(stop):
            connection = http.client.HTTPConnection(address, timeout=10)
            try:
                for _ in range(REQUESTS):
                    connection.request("GET", "/traffic")
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200:
                        failures[f"status {answer.status}"] += 1
                    done[number] += 1
                    if answer.will_close:
                        break
                    time.sleep(0.005)
            except (OSError, http.client.HTTPException) as error:
                failures[repr(error)] += 1
            finally:
                connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"requests": sum(done), "failures": failures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
