#!/bin/bash
# kafka-run-class.sh CLASS ARGUMENT...
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -Dlog4j2.configurationFile="${LOG4J_CONFIG:-/etc/kafka/docker/tools-log4j2.yaml}" \
  ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*' "$@"
