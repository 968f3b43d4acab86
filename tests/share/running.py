"""A share service that answers on a port, with its threads, on topics of its own."""

import threading
import time

import httpx
import msgspec
import uvicorn
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from peerview_common.snapshots import encode_chunk
from peerview_common.topics import SNAPSHOTS, VALUES, peer_view_topic, topic_name
from peerview_common.values import encode_value, value_key
from peerview_share.api.app import create_app
from peerview_share.main import build
from tests.share.support import chunks, settings
from tests.support.waiting import wait_until as until

PARTITIONS = 3


class Running:
    """A share service that answers on a port, on the test's own topics."""

    def __init__(self, tmp_path, issuer, bootstrap, prefix, **given):
        self.issuer, self.bootstrap, self.prefix = issuer, bootstrap, prefix
        self.share = build(
            settings(
                tmp_path,
                issuer,
                kafka=bootstrap,
                topic_prefix=prefix,
                partitions=PARTITIONS,
                clock_day="2026-09-21",
                tick_seconds=0.2,
                revision_poll_s=0.2,
                **given,
            )
        )
        config = uvicorn.Config(
            create_app(self.share), host="127.0.0.1", port=0, log_config=None, access_log=False
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.server.started)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        until(lambda: self.client.get("/health/ready").status_code == 200)
        self.connect()
        return self

    def connect(self):
        """The test's own producer, also after the broker was away."""
        self.producer = KafkaProducer(bootstrap_servers=self.bootstrap.split(","), acks="all")

    def __exit__(self, *_):
        self.producer.close()
        self.client.close()
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()

    def send(self, topic, key, value):
        future = self.producer.send(topic_name(self.prefix, topic), key=key, value=value)
        future.get(10)

    def send_value(self, value):
        self.send(VALUES, value_key(value.practice, value.indicator), encode_value(value))

    def send_snapshot(self, practice, cut, cells, **given):
        now = time.time_ns() // 1_000_000
        for chunk in chunks(practice, cut, cells, now=now, **given):
            self.send(SNAPSHOTS, practice.encode(), encode_chunk(chunk))

    def get(self, path, *practices, **params):
        return self.client.get(path, headers=self.issuer.headers(*practices), params=params)

    def post(self, path, *practices, json=None, **claims):
        return self.client.post(path, headers=self.issuer.headers(*practices, **claims), json=json)

    def agree(self, text):
        codes = [party["odsCode"] for party in text["parties"]]
        found = self.post("/v1/agreements", codes[0], json=text).json()
        body = {"version": 1, "termsHash": found["termsHash"]}
        for code in codes:
            answer = self.post(f"/v1/agreements/{text['id']}/sign", code, json=body)
            assert answer.status_code == 200, answer.text

    def cut(self):
        answer = self.post("/v1/releases/cut", scope="release:operate")
        assert answer.status_code == 202, answer.text
        return answer.json()["epoch"]

    def peers(self, viewer, **params):
        return self.get("/v1/networks/north/indicators", viewer, **params)

    def epoch(self, viewer):
        return (self.peers(viewer).json().get("epoch") or {}).get("number")

    def over_rest(self, viewer):
        """``{key: bytes of the cell}`` as REST gives them."""
        return {
            f"{cell['indicator']}/{cell['subject']}": msgspec.json.encode(cell)
            for cell in self.peers(viewer).json().get("cells", [])
        }

    def topic(self, name):
        """All records of a topic, in each partition's order."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap.split(","))
        try:
            places = [TopicPartition(name, p) for p in consumer.partitions_for_topic(name) or ()]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            found = []
            while any(consumer.position(place) < ends[place] for place in places):
                for records in consumer.poll(timeout_ms=200).values():
                    found.extend(records)
            return found
        finally:
            consumer.close()

    def over_topic(self, viewer):
        """``{key: value}`` that compaction would leave of a viewer's topic."""
        found = {}
        for record in self.topic(peer_view_topic(self.prefix, "north", viewer)):
            found[record.key.decode()] = record.value
        return {key: value for key, value in found.items() if value is not None}


def live(running, practice, indicator="bp-htn-u80"):
    answer = running.get(f"/v1/practices/{practice}/indicators", practice)
    return answer.json()["indicators"].get(indicator)
