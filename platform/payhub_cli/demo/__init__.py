"""`payhub demo`: 20 payments between four institutions over two engines, checked to the cent."""
