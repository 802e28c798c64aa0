"""The imperative shell: queues, stages, supervisor."""
