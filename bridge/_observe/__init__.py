"""What is recorded of each request: :class:`~bridge._observe.record.RequestRecord`."""
