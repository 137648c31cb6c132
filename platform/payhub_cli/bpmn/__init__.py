"""`payhub bpmn`: what can be done with process files."""
