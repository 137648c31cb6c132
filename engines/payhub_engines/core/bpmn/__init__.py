"""BPMN 2.0 with Zeebe's extensions: parsed once, checked, compiled to a table of steps."""
