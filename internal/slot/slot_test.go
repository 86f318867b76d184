package slot

import "testing"

// A client that computes slots itself must come to the same answer, or its requests go astray.
// Values from `redis-cli CLUSTER KEYSLOT` and the check value of CRC16/XMODEM ("123456789" is 0x31C3).
func TestOfAgreesWithRedis(t *testing.T) {
	for key, want := range map[string]uint16{
		"123456789": 0x31C3 % Count, "foo": 12182, "bar": 5061, "": 0, "foo{hash_tag}": 2515, "hash_tag": 2515,
		"foo{}{bar}": 8363, "foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061, "user{1000}.x": Of([]byte("1000")),
	} {
		if got := Of([]byte(key)); got != want {
			t.Errorf("Of(%q) = %d, want %d", key, got, want)
		}
	}
}

// Every slot lies in exactly one tablet, and Range names the same slots as Tablet.
func TestTabletsTile(t *testing.T) {
	for n := 1; n <= Count; n *= 2 {
		for tab := range n {
			first, last := Range(uint32(tab), n)
			if int(first) != tab*Count/n || int(last) != (tab+1)*Count/n-1 {
				t.Fatalf("%d tablets: range of %d is %d..%d", n, tab, first, last)
			}
			if Tablet(first, n) != uint32(tab) || Tablet(last, n) != uint32(tab) {
				t.Fatalf("%d tablets: slots %d..%d are not in tablet %d", n, first, last, tab)
			}
		}
	}
	for n, want := range map[int]bool{0: false, 1: true, 3: false, 1024: true, 16384: true, 32768: false, -2: false} {
		if ValidTablets(n) != want {
			t.Errorf("ValidTablets(%d) = %v", n, !want)
		}
	}
}
