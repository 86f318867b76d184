package node

import "testing"

// Clients that take all the files that a process may have open end the node: its journal needs one.
func TestShareOfFiles(t *testing.T) {
	for _, c := range []struct {
		files           uint64
		wanted          int
		tables, clients int
	}{
		{1 << 20, 10_000, 1024, 10_000},
		{20_000, 1_000_000, 1024, 17_952},
		{4096, 10_000, 1024, 2048},
		{1024, 10_000, 256, 512},
		{1024, 100, 256, 100},
		{^uint64(0), 10_000, 1024, 10_000},
		{0, 10, 0, 1},
	} {
		if tables, clients := share(c.files, c.wanted); tables != c.tables || clients != c.clients {
			t.Errorf("of %d files %d tables and %d of %d clients", c.files, tables, clients, c.wanted)
		}
	}
	if allowedFiles() == 0 {
		t.Error("the system allows no files")
	}
}
