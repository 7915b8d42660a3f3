"""Tests of training on several devices and in several processes."""
