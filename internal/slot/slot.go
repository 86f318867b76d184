// Package slot maps a key to its hash slot exactly as Redis Cluster does, and slots to tablets.
//
// A slot is CRC16/XMODEM of the key, or of its {tag} where it has one, modulo 16384 (Redis Cluster
// specification, "Keys hash tags"). A tablet is a run of consecutive slots; there are T of equal size, T a
// power of two from 1 to 16384. The package is pure.
package slot

import "bytes"

// Count is the number of slots.
const Count = 16384

// Of returns the slot of key.
func Of(key []byte) uint16 { return crc16(tag(key)) % Count }

// tag returns what lies between the first '{' and the first '}' after it, or the whole key where there is
// no such pair or nothing between the two.
func tag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	n := bytes.IndexByte(key[open+1:], '}')
	if n <= 0 {
		return key
	}
	return key[open+1 : open+1+n]
}

// Tablet returns the tablet that slot s belongs to when the slots are cut into tablets equal runs.
func Tablet(s uint16, tablets int) uint32 { return uint32(int(s) * tablets / Count) }

// Range returns the slots [first, last] of tablet t when the slots are cut into tablets equal runs.
func Range(t uint32, tablets int) (first, last uint16) {
	run := Count / tablets
	return uint16(int(t) * run), uint16(int(t)*run + run - 1)
}

// ValidTablets reports whether n is a possible number of tablets: a power of two from 1 to Count.
func ValidTablets(n int) bool { return n >= 1 && n <= Count && n&(n-1) == 0 }

func crc16(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^c]
	}
	return crc
}

// crcTable is CRC16/XMODEM: polynomial 0x1021, initial value 0, not reflected.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()
