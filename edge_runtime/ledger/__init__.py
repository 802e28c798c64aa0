"""The durable record: inspections and outbox in one database, evidence images under a quota."""
