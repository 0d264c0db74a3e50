// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/journal.toml by contracts/generate.py. DO NOT EDIT.

package systemd

// messageIDs are the MESSAGE_ID of log lines, by their text.
var messageIDs = map[string]string{
	"serving":                                               "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d01",
	"camera delivers":                                       "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d02",
	"camera lost, trying again":                             "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d03",
	"camera hangs, its USB device was reset":                "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d0e",
	"camera hangs, its USB device cannot be reset":          "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d0f",
	"camera refused, the others go on":                      "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d04",
	"broker away, trying again":                             "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d05",
	"broker connected":                                      "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d06",
	"outbox full, dropping the oldest events":               "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d07",
	"outbox cannot use its disk, events stay in memory":     "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d08",
	"a part stands still, no sign of life for the watchdog": "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d09",
	"reload refused, everything goes on as before":          "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d0a",
	"too hot, inference is slowed":                          "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d0b",
	"cool again, inference at full speed":                   "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d0c",
	"worker cut off, it may come again":                     "2b6d4c1f0a7e4a5e9d3c8b7f6a1e5d0d",
}
