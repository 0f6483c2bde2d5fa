"""The contracts: Avro schemas, typed records, topic catalogue, ids."""
