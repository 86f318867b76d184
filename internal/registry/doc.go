// Package registry is the state machine of the system group: which nodes are members of the cluster, and the
// settings that hold for all of them.
//
// It owns admission (who may be a member, with which key and which places on the ring), the state of each member,
// and the settings. It refuses what would break them, with an Error whose Kind a program can act on and whose text
// says what was wrong and what is allowed. It is not on the path of data: who holds a tablet is for the tablet's
// descriptor to say, and nodes keep a copy of the registry with its revision.
//
// Invariants:
//   - Apply is a function of the registry, the command and the tablet's time; every replica comes to the same bytes.
//   - A refused command, and one that changes nothing, leaves the registry and its revision as they were.
//   - A member's identifier is that of its key (ident.NodeOf). Its key never changes, its boot never falls. No two members
//     hold the same token. Its place on the ring (whose key its tokens are hashes of, their indices, and the weight) never
//     changes but by Replace, by which a new node takes the place of one that is down: so nobody ever chooses a place.
//   - A removed node stays removed: it is refused under its old identity while it is among the last MaxRemoved removed
//     ones. Of one removed before it is the node itself that knows (package core): it was named once, and is not any more.
//   - The format in use is one that every member knows, and never falls.
//
// States of a member, and who may follow whom:
//
//	joining -> up | leaving | down | removed    admitted, not yet part of the ring
//	up      -> leaving | down | removed         removed only by Remove with Force: a node that is up should leave
//	leaving -> up | down | removed              hands over what it holds; up when it gave that up; removed by SetState when it has left
//	down    -> up | joining | leaving | removed named silent; counts as a holder until Settings.ReplaceAfter is over
//	removed -> nothing
//
// # Format
//
// A registry and a command are each one JSON object, in UTF-8, without anything after it. Member identifiers are
// hexadecimal, keys base64, durations nanoseconds, times milliseconds of the system tablet's time. The field
// "format" is 2; 1, which had no "admitted", "place" and "replace", is read; another number, an unknown field, and more than MaxEncoded (MaxCommand) bytes are refused. Encoding
// is canonical: members ascend by identifier, removed ones by the time of their removal, and the same registry
// always has the same bytes.
//
// The package is pure. A Registry belongs to one goroutine; Clone gives another one a copy.
package registry
