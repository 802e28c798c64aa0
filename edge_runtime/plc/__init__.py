"""The gate: Modbus, serial relay, GPIO, and the simulated PLC with its belt."""
