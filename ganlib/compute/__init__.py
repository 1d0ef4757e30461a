"""Devices, memory and processes."""
