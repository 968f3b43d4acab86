"""What every broker we start by ourselves has in common, however it is run.

One node, sized for a developer's machine and for tests. Production brokers are somebody else's:
nothing here is advice for them.
"""

from typing import Final

KAFKA_VERSION: Final = "4.1.1"
KAFKA_IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"

SETTINGS: Final[dict[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # a misspelt topic is an error here, as it is in production
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # a lone worker need not wait for others, and a killed one is missed soon
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # a killed broker is let back in only when its old session has ended (9 s by default)
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # the defaults take 128 MB of heap, and 20 MB of sparse index for each partition
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
}

# A second listener on which clients say who they are, and rights by topic. Whoever comes by the
# plain listener is the operator.
LOGIN_SETTINGS: Final[dict[str, str]] = {
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "listener.name.login.scram-sha-256.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": "User:ANONYMOUS",
}


def as_container_environment(settings: dict[str, str]) -> dict[str, str]:
    """The same settings as the apache/kafka image reads them: `a.b` becomes `KAFKA_A_B`."""
    return {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in settings.items()}
