"""Disaggregation switches in objects and ConfigMaps: one data file each, and their actuators."""
