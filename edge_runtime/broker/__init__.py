"""MQTT: the adapter, the embedded demo broker, the wire messages."""
