"""The configuration of the daemon in `plant_run`."""

from __future__ import annotations

TCP_PLC = 'kind = "modbus_tcp"\nhost = "127.0.0.1"\nport = {port}'
FILE = 'path = "{path}"'
RELEASES = """
product = "part"
trust = "production"
[trial]
parts = 20
dwell_s = 2.0
[updates]
disk_reserve_mb = 1
"""
SERIAL_PLC = 'kind = "modbus_rtu"\ndevice = "{device}"\nparity = "N"'
CONFIG = """
[device]
name = "plant"
state_dir = "{work}/state"
[bundle]
{bundle}
[camera]
kind = "folder"
path = "{work}/in"
after = "delete"
part_sequence_pattern = 'part-(\\d+)'
overflow = "reject"
rescan_interval_ms = 500
[recipe]
decision_deadline_ms = 1500
reject.delay_ms = 2000
[plc]
{plc}
[plc_link]
watch_trigger_count = true
trigger_timeout_ms = 2000
[mqtt]
port = {broker}
tls.ca_file = "{authority}"
[ledger]
reserve_mb = 8
[evidence]
quota_mb = 8
[ops]
metrics_port = false
inspect_queue = 64
"""
