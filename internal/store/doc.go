// Package store keeps a node's state and logs in Pebble, and is the only package that knows Pebble.
//
// It owns one directory, which one process uses at a time. It implements kv.Store: one Write is one Pebble batch, log
// before state, so the two are atomic together, which is more than kv asks. It refuses to guess: a directory of a
// newer format, a directory that holds something else, a database that is gone or damaged are errors of Open that say
// what was found. It knows nothing of what keys and entries mean.
//
// # What holds
//
//   - A Write is visible when Apply returns and durable when its Pending has been waited for. One that was applied
//     without sync may stay in the memory of the process until the next sync: not only a power failure loses it, the
//     end of the process does too.
//   - After a failed sync, or an error of Pebble's background work, every later Apply and Wait fails with the first
//     cause (Err, Config.OnFailure). Nothing is retried: what a failed fsync left on the disk is unknown. Reads still
//     answer, and may show what will not be there after a restart, so the node must stop serving. Pebble itself may
//     end the process soon after its log or its manifest failed; OnFailure has been called by then.
//   - Damage is an error, with one exception: Pebble ends the replay of its log at the first damaged record when no
//     whole block of 32 KiB follows that proves the record was synced, for so looks the torn end that a crash leaves. A
//     bit that flips in the last 32 KiB of the log while the process is down can so take acknowledged Writes with it.
//     What came of them is a matter for the replicas.
//   - No reader sees a value older than one that was visible before its read began, cached or not: see values.go.
//
// # Concurrency
//
// Apply is serialised by applyMu; any number of goroutines read. Lock order: the gate of readers, then applyMu, then
// one of groupMu, pendingMu, snapMu or the lock of one shard of the value cache; none of the latter is held while
// another is taken. Close lets running reads end first, so it must not be called from within a Scan. The package
// starts no goroutine; Pebble does, and Close waits for them, unless Pebble panicked while it held its locks: then
// they, and the lock of the directory, stay until the process ends.
//
// # The directory
//
//	LOCK        held while a process uses the directory
//	FORMAT      "quord-store 1\n": the format of everything else. There once Open has succeeded for the first time;
//	            from then on a missing database is an error
//	BALLAST     room that is given up when the disk is full; see room.go
//	FORMAT.new  the same, while the directory is being set up
//	...         Pebble's files
//
// # Keys and values in Pebble, format 1
//
// Integers are big endian. The first byte of a key says what it is:
//
//	's'  key                              state: the caller's key and value as they are
//	'l'  group (4 bytes)  index (8 bytes) one entry of a group's log
//	'h'  group (4 bytes)                  the hard state and the start of a group's log; there is one for each group
//	                                      that exists, and none for one that does not
//
// The value of a log entry:
//
//	kind of record (1 byte, 1)  type (1 byte, the caller's)  term (8 bytes)  data
//	CRC32C (4 bytes) of the key and all of the value before it
//
// The value of a hard state (45 bytes):
//
//	kind of record (1 byte, 1)  term (8 bytes)  vote (8 bytes)  commit (8 bytes)
//	start index (8 bytes)  start term (8 bytes)
//	CRC32C (4 bytes) of the key and all of the value before it
//
// The entries of a group have the indexes from start index + 1 on, without gaps; the last one is found by seeking.
// State carries no checksum of this package: its caller's records have one, from end to end.
package store
