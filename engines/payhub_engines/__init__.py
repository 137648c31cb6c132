"""One Payment Realtime Engine: a Raft group that runs payments as BPMN processes."""
