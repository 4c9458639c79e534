"""What tests share: one scripted peer, one proxy, one wire, and helpers."""
