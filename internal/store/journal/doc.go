// Package journal is a sequence of numbered records in files that are only appended to: what a store writes, and syncs,
// before it may forget.
//
// It owns the files *.journal of one directory. It knows nothing of what records mean. It refuses to guess: a journal
// that has lost records which were once durable is an error of Open, not a shorter journal.
//
// # What holds
//
//   - Records are numbered without gaps. A record is durable when Sync of its number, or of a later one, has returned.
//   - What Open replays is durable by then, even if nobody had waited for it.
//   - The records up to the number that Release was last told of may be gone, or damaged where they fill a file; all later
//     ones are kept.
//   - After a failed write or sync every later Sync fails with the first cause. Nothing is retried: what a failed fsync
//     left on the disk is unknown.
//   - Records that were not durable may be lost in a crash, from some number on. Each record carries the number up to
//     which the journal was durable when it was written, so a hole before that is told apart from a torn end. One
//     exception is left: damage to the records of the very last sync looks like a torn end.
//
// # Concurrency
//
// Append is for one goroutine at a time; Sync, Spill, Release and Stats are for any. Sync groups: who waits while another
// one syncs finds its records on disk with the next sync, which is one for all. Lock order: the lock of the file, then
// that of the buffer. No goroutine is started.
//
// # The files, format 1
//
// Files are named by a number of eight digits or more, ascending. A file that is not needed any more is taken again under
// a new name, and overwritten, which spares the file system the work of growing a file with each sync. Integers are
// little endian.
//
//	header (32 bytes):
//	  "QRDJRNL1"  number of the file (8)  number of its first record (8)  0 (4)  CRC32C of all before (4)
//	then records, each at a multiple of 8 bytes:
//	  length of the payload (4)  CRC32C (4)  number (8)  durable (8)  payload  0 up to a multiple of 8
//
// The CRC of a record covers the record from its own number to the end of the payload. It begins with the CRC of the number
// of the file (8 bytes), XOR Config.Secret, so what a file held under an earlier name is no part of it, and what a client has
// had written is not taken for a record. durable is the number of the last record that was on disk when
// this one was written. A file ends at its first record that is not valid.
package journal
