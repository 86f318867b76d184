// Package store keeps a node's state and logs in a journal and in Pebble, and is the only package that knows Pebble.
//
// It owns one directory, which one process uses at a time. It implements kv.Store: one Write is one record of the journal,
// so its log and its state are atomic together, which is more than kv asks. What a Write changes lies in memory until a
// checkpoint moves it, in one batch, to Pebble, which has no log of its own; after a crash the journal is replayed from
// the last checkpoint on. So a Write costs an append and a few changes of maps, a key that is written over and over reaches
// the tables once, and most entries of logs never do. It refuses to guess: a directory of a newer format, a directory that
// holds something else, a database or a journal that is gone or damaged are errors of Open that say what was found. It
// knows nothing of what keys and entries mean.
//
// # What holds
//
//   - A Write is visible when Apply returns and durable when its Pending has been waited for. One that was applied
//     without sync may stay in the memory of the process until the next sync: not only a power failure loses it, the
//     end of the process does too.
//   - Pebble never has what the journal has not: the journal is synced before a checkpoint is written.
//   - After a failed sync, or an error of Pebble's background work, every later Apply and Wait fails with the first
//     cause (Err, Config.OnFailure). Nothing is retried: what a failed fsync left on the disk is unknown. Reads still
//     answer, and may show what will not be there after a restart, so the node must stop serving. Pebble itself may
//     end the process soon after its manifest failed; OnFailure has been called by then.
//   - Damage is an error, with one exception: damage to what the very last sync wrote to the journal looks like the torn
//     end that a crash leaves. What came of it is a matter for the replicas.
//   - No reader sees a value older than one that was visible before its read began, cached or not, nor one that a key had
//     in the midst of a Write.
//   - What is in memory alone is bounded: Writes wait for a checkpoint when there is four times as much as calls for one.
//
// How a read finds its value: in the layers, the newest first (layer.go), a snapshot as of the Write that it was taken after; in the cache of Pebble's values (values.go); in
// Pebble. A checkpoint changes what Pebble shows before it takes the layers away, and tells the cache in between.
//
// # Concurrency
//
// Apply is serialised by applyMu; any number of goroutines read. Lock order: the gate of readers, then applyMu, then
// one of groupMu, snapMu, the locks of the journal, or the lock of one shard of a layer or of the cache; none of the latter
// is held while another is taken. Close lets running reads end first, so it must not be called from within a Scan. One
// goroutine takes checkpoints; Pebble starts its own. Close waits for all, unless Pebble panicked while it held its locks:
// then they, and the lock of the directory, stay until the process ends.
//
// # The directory
//
//	LOCK        held while a process uses the directory
//	FORMAT      "quord-store 1\n": the format of everything else. There once Open has succeeded for the first time;
//	            from then on a missing database is an error
//	BALLAST     room that is given up when the disk is full; see room.go. BALLAST.new while it is being set aside
//	FORMAT.new  the same, while the directory is being set up
//	journal/    the journal: package journal
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
//
//	'c'                                   the checkpoint: kind of record (1 byte, 1), number of the last Write of the journal
//	                                      whose effects are here (8 bytes), CRC32C (4 bytes) of the key and all before
//	'j'                                   the secret of the journal: kind of record (1 byte, 1), journal.Config.Secret
//	                                      (4 bytes), CRC32C (4 bytes) of the key and all before. None: it is 0
//
// The value of a log entry is above; that of a record of the journal is a Write. Integers are uvarints, byte strings stand
// behind their length:
//
//	kind of record (1 byte, 1)
//	number of changes of logs, and for each:
//	  group  flags (1 byte: 1 destroy, 2 reset, 4 truncate, 8 hard state)
//	  reset: index, term   truncate: index, term   hard state: term, vote, commit    each where its flag is set
//	  number of entries; if there are any, the index of the first; for each: term, type (1 byte), data
//	number of changes of state, and for each:
//	  kind (1 byte: 1 set, 2 delete, 3 delete a range)  key  value or end of the range
//
// State carries no checksum of this package: its caller's records have one, from end to end.
package store
