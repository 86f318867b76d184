// Package wire holds what nodes say to each other, and its form on the wire.
//
// A frame (package peer carries it, with its length and checksum) is a sequence of messages:
//
//	kind (1 byte)  length of the body (uvarint)  body
//
// Integers in bodies are uvarint and byte strings have their length (uvarint) before them, unless said otherwise.
// Node identifiers are 16 bytes. The bodies:
//
//	Raft       tablet, then a raft message (package tablet)
//	Request    id, tablet, flags (1 byte; bit 0: write, bit 1: pass on, bit 2: passed on), the node whose request it is
//	           (16 bytes) if passed on, boot, number, low, then commands (package tablet)
//	Response   id, status (1 byte), leader (16 bytes, zero: unknown), epoch, then by status:
//	           Done: replies (package tablet); Rejected: a text
//	Ring       a ring message (package ring)
//	Pulse      wall clock in milliseconds (8 bytes, big endian), revision of the registry, durable sequence,
//	           leads, holds, lacking, moving, pending, keys, flags (1 byte; bit 0: closing, bit 1: low, bit 2: tight), hurt,
//	           how many members it misses, and those (16 bytes each): what a node tells all others once a second
//	Ask        nothing: asks for the registry
//	Registry   a registry (package registry)
//	Who        tablet: asks who holds it
//	Where      tablet, leader (16 bytes), the index as of which it holds, then a descriptor (package tablet), empty where
//	           nothing is known
//	Offer      transfer, tablet, replica it is for, then the head of a snapshot
//	Chunk      transfer, sequence number from 1, then a chunk of a snapshot
//	Verdict    transfer, sequence number up to which all is stored, state (1 byte): what the receiver says
//	Mend       tablet, index: asks for a snapshot as of that index or a later one, to mend a damaged replica with
//
// A newer node may say more: unknown kinds are skipped, and so is what follows the fields above in the body of a Pulse,
// Ask, Who, Verdict or Mend. Every other byte too many or too few is damage. The package is pure.
package wire
