"""The engine: programs traced once, one store of variables, one loop on the device."""
