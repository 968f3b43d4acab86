"""Kafka's own jars: the most honest embedded broker is the real one."""

from pathlib import Path
from typing import Final

from peerview_tools.broker_ready import BrokerUnavailableError, Say, say_on_stderr
from peerview_tools.kafka_settings import KAFKA_VERSION
from peerview_tools.maven import DEPLOY, MavenError, fetched_jars

POM: Final = DEPLOY / "kafka-local" / "pom.xml"


def kafka_jars(say: Say = say_on_stderr) -> Path:
    """The directory of Kafka's jars. Raises BrokerUnavailableError."""
    try:
        return fetched_jars("Kafka", KAFKA_VERSION, POM, "43 MB", say)
    except MavenError as error:
        raise BrokerUnavailableError(f"{error}; or set PEERVIEW_KAFKA to a broker") from error
