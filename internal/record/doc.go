// Package record is the format of keys and values of the data as they lie in the store.
//
// A stored key orders the data by tablet, then by a hash, then by key, so that a tablet is one range, a cursor of
// SCAN needs no state on the server, and a collection lies together:
//
//	'd'  slot (2 bytes, big endian)  hash (8 bytes, big endian, XXH3-64 of the key)
//	     length of the key (uvarint)  key  field (the rest; empty for the head of a key)
//
// A stored record is
//
//	format (1 byte, 1)  kind (1 byte)  flags (1 byte; bit 0: has an expiry)
//	version (8 bytes, big endian: the log position of the write)
//	expiry (8 bytes, big endian, milliseconds since 1970 of tablet time; only with the flag)
//	value  CRC32C (4 bytes, big endian) of the stored key and all of the record before it
//
// A record whose checksum does not match is never served. The package is pure; values are not copied.
package record
