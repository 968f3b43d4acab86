#!/bin/bash
export LOG4J_CONFIG=/etc/kafka/docker/log4j2.yaml KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:--Xmx512M}
exec /opt/kafka/bin/kafka-run-class.sh kafka.Kafka "$@"
