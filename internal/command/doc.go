// Package command holds the command table and what each command means.
//
// It owns three things:
//
//   - The table: one declarative list of Spec, from which dispatch, arity, keys, flags, ACL categories, the replies
//     of COMMAND and the documentation follow. What is not in the table does not exist.
//   - Evaluation: a command of the place Tablet is a pure function of a View (the data of one tablet at the tablet's
//     time) and of its arguments. It appends its reply to a buffer.
//   - What is arithmetic about a keyspace: cursors of SCAN, glob patterns, Redis' numbers.
//
// It refuses to know of connections, of tablets' placement and of the log: commands of the places Session and
// Cluster stand in the table with their metadata only, the front end carries them out. Internal commands (their
// names begin with an underscore) are what the front end sends to every tablet for the commands of the place
// Cluster; a client that names one gets the error of an unknown command.
//
// # Invariants
//
//   - Evaluation is deterministic: the same arguments over the same data at the same tablet time change the data
//     in the same way and give the same bytes. Every replica evaluates every write; they must not come apart. So
//     nothing here reads a clock, draws a random number or depends on the order of a map.
//   - A command with the flag ReadOnly never changes its View.
//   - Arguments and what a View returns are never modified, and no reference to them outlives the evaluation,
//     save what was handed to View.Put.
//   - The table is not modified after the package is initialised. All functions may be called concurrently, as
//     far as the View allows it.
//
// # Replies
//
// Replies are RESP3 bytes; for a client that speaks RESP2 the front end converts them type by type ('_' to "$-1",
// '%' to a flat array, and so on), which is why no reply here differs in more than syntax between the two. Error
// replies carry the texts of Redis to the letter, because programs compare them.
//
// # Differences from Redis 7.2
//
//   - Option words are compared over their whole length; Redis stops at a NUL byte.
//   - INCRBYFLOAT computes with the 64-bit mantissa of the x87 long double, which is what Redis does on x86-64; a
//     Redis on another machine may round differently in the last of its 17 decimals.
//   - Ranges in glob patterns compare bytes as unsigned, which is what Redis does where C's char is unsigned
//     (arm64); on x86-64 ranges that cross 0x7f differ.
//   - MGET answers at most MaxReply bytes from one tablet.
//   - A cursor of SCAN is a place in the keyspace, not a bucket of a hash table: see Cursor.
package command
